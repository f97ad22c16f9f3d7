"""A server whose deploys and supervisor the test itself runs, kills and looks at."""

from __future__ import annotations

import http.client
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from paas.daemon import supervisor
from paas.daemon.services import Services
from paas.deploy.archive import Member
from paas.deploy.commits import commit_of
from paas.deploy.draft import Draft
from paas.deploy.parts import Parts
from paas.deploy.repository import Repository
from paas.engine.config import ImageConfig
from paas.host.files import remove_tree
from paas.model.app import App
from paas.model.env import Secret
from paas.model.instance import InstanceState
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.model.settings import BOOT_SECONDS, DOMAIN, HTTP_ADDRESS, HTTP_PORT
from tests import killing
from tests.killing import Step, forked
from tests.ports import free_port
from tests.push.residue import residue

SERVE = "mkdir /w; echo $VERSION > /w/index.html; /bin/busybox httpd -f -p $PORT -h /w"
BASE = "base:1"
"""What a Dockerfile calls the image."""

HANG = "exec /bin/sleep 600"
CONTAINER = re.compile(r"[0-9a-f]{32}")
CRASH_WHEN_ASKED = (
    "mkdir -p /w/cgi-bin; printf '#!/bin/sh\\necho > /end\\n' > /w/cgi-bin/end;"
    " /bin/busybox chmod +x /w/cgi-bin/end; /bin/busybox httpd -f -p $PORT -h /w &"
    " until [ -e /end ]; do /bin/sleep 0.05; done; exit 7"
)
"""Ends when /cgi-bin/end is asked for: it has been found healthy by then, however long it took."""

MODULES = re.compile(
    r"/paas/(deploy/(attempt|handover|heal|hosts|lifecycle|metrics|operations|pipeline"
    r"|route|running|sites|timeline|wake)"
    r"|store/(config|deploys|releases|instances)"
    r"|proxy/proxy|engine/(bundler|containers|monitor|rootfs|network/(network|router|ipam)))\.py"
)
"""Where a function that is entered counts as a step of a deploy."""

TIDY_SECONDS = 2.0
"""Oftener than in service, so that no test waits for it long."""

INTERRUPTED = 130


class World:
    """A prepared PaaS with its proxy running and one image; no paasd."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="paas-kill-", dir="/var/lib"))
        self.folder.chmod(0o711)
        self.layout = Layout.at(self.folder / "root")
        self.parts = Parts(self.layout)
        self.services = Services(self.parts)

    def prepare(self) -> None:
        self.services.prepare(Silent())
        self.port = free_port()
        for setting, value in (
            (HTTP_PORT, str(self.port)),
            (HTTP_ADDRESS, "127.0.0.1"),
            (DOMAIN, "kill.test"),
            (BOOT_SECONDS, "20"),
        ):
            self.parts.store.settings.set(None, setting.name, value)
        self.services.up(["network", "instances", "proxy"], Silent())
        self.image = self._image()

    def _image(self) -> str:
        engine = self.parts.engine
        upper = engine.layers.new_upper()
        for name in ("bin", "etc", "tmp"):
            (upper / name).mkdir()
        (upper / "bin/busybox").write_bytes(Path("/usr/bin/busybox").read_bytes())
        (upper / "bin/busybox").chmod(0o755)
        for applet in ("sh", "mkdir", "sleep"):
            (upper / "bin" / applet).symlink_to("busybox")
        (upper / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        image = engine.images.add(ImageConfig(), [engine.layers.commit(upper)]).id
        engine.images.tag(BASE, image)
        return image

    def destroy(self) -> None:
        self.services.down(self.services.names, Silent())
        self.services.purge()
        remove_tree(self.folder)

    # -- what is done to it ----------------------------------------------------------------

    def app(self, name: str) -> App:
        return self.parts.store.apps.create(name)

    def deployed(self, name: str, version: int = 1, command: str = SERVE) -> App:
        """An app that is served, whose config is in the store as its release has it."""
        app = self.app(name)
        self.parts.store.config.set(app.id, {"VERSION": str(version)})
        self.deploy(app, version, command)
        return self.parts.store.apps.get(name)

    def deploy(self, app: App, version: int, command: str = SERVE, **formation: int) -> None:
        """Deploy as a push does from its image on, in this process."""
        deploy(Parts(self.layout), app, self.image, version, command, formation or {"web": 1})

    def commit(self, app: App, files: dict[str, str]) -> str:
        """A commit of these files in the app's repository, on no branch; the same each time."""
        place = Repository(self.layout, app.id)
        place.ensure()
        with place.as_git():
            members = [Member(path, 0o100644, text.encode()) for path, text in files.items()]
            return commit_of(place.path, members, "test", 1e9)

    @contextmanager
    def supervised(self) -> Iterator[int]:
        """A real supervisor in a child, killed behind the block."""
        pid = forked(self._supervise)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _supervise(self) -> None:
        supervisor.TIDY_SECONDS = TIDY_SECONDS
        supervisor.main(self.layout)

    # -- what is seen of it ------------------------------------------------------------------

    def version(self, app: App) -> int:
        """What the app answers through nginx. Raises OSError when it does not answer."""
        return int(self.get(app, "/index.html"))

    def get(self, app: App, path: str) -> bytes:
        """A page of the app through nginx. Raises OSError when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": f"{app.name}.kill.test"})
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise ConnectionError(f"{app.name}: {answer.status}")
            return answer.read()
        finally:
            connection.close()

    def live_version(self, app: App) -> int:
        """The version whose release is live."""
        now = self.parts.store.apps.get(app.name)
        release = self.parts.store.releases.get(app.id, now.live or 0)
        return int(release.config["VERSION"].reveal())

    def strays(self) -> list[str]:
        """What is there on behalf of no instance and of no deploy under way."""
        store, engine = self.parts.store, self.parts.engine
        instances = store.instances.list()
        known = {one.container for one in instances}
        found = [f"deploy {one.id} is {one.stage.value}" for one in store.deploys.unfinished()]
        found += [f"{one.container} is {one.state}" for one in instances if not _serves(one)]
        names = [name for kind in residue(self.layout).values() for name in kind]
        names += [lease.container for lease in engine.network._leases.list()]
        names += [str(path) for path in (self.layout.engine_fs / "u").glob("*")]
        found += [name for name in names if set(CONTAINER.findall(name)) - known]
        found += [str(path) for path in self.layout.deploys.glob("*/objects")]
        kept = {str(number) for number in store.deploys.ids()}
        found += [str(path) for path in self.layout.deploys.glob("*") if path.name not in kept]
        found += [str(path) for path in (self.layout.engine_fs / "tmp").glob("*")]
        return found


def _serves(instance: Any) -> bool:
    return instance.state is InstanceState.LIVE


def deploy(
    parts: Parts, app: App, image: str, version: int, command: str, formation: dict[str, int]
) -> None:
    commit = f"{version:040x}"
    with parts.attempts.begin(app, "test", Silent(), commit) as attempt:
        attempt.objects.mkdir()
        draft = Draft(
            image=image,
            commit=commit,
            config={"VERSION": Secret(str(version))},
            processes=dict.fromkeys(formation, command),
            formation=formation,
            reason="test",
        )
        parts.pipeline.launch(attempt, draft)


# -- dying at a step ---------------------------------------------------------------------------


def steps_of(work: Callable[[], object], modules: re.Pattern[str] = MODULES) -> list[Step]:
    """Every distinct step of `work`, in the order in which each is first begun."""
    return killing.steps_of(work, modules)


def killed_at(step: Step, work: Callable[[], object], modules: re.Pattern[str] = MODULES) -> bool:
    """Run `work` in a child that SIGKILLs itself where it first begins `step`."""
    return killing.killed_at(step, work, modules)


def interrupted_at(step: Step, work: Callable[[], object]) -> bool:
    """Run `work` in a child that a ^C reaches where it first begins `step`."""

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and killing.step_of(frame.f_code, MODULES) == step:
            # What a signal's handler raises; the interpreter then drops this function.
            raise KeyboardInterrupt

    def act() -> None:
        sys.setprofile(interrupt)
        try:
            work()
        except KeyboardInterrupt:
            os._exit(INTERRUPTED)

    _, status = os.waitpid(forked(act), 0)
    return os.waitstatus_to_exitcode(status) == INTERRUPTED
