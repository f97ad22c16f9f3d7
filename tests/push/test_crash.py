"""kill -9 of anything, and the reboot: apps keep serving or come back, nothing stays behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paas.daemon.services import STACK
from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec
from tests.killing import forked
from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import eventually
from tests.push.processes import children, command_line, kill
from tests.push.repository import cut, heard
from tests.push.residue import mounts
from tests.push.server import Server

pytestmark = pytest.mark.turns(2)


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[App]:
    """A second app that is served, to see that a neighbour is not harmed."""
    app = new_app(server, "other")
    app.push(apps.plain("5")).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()


def deploying(server: Server) -> list[int]:
    """The daemon's processes that take a push and deploy it."""
    return [pid for pid in children(server.daemon_pid()) if any(map(receives, children(pid)))]


def receives(pid: int) -> bool:
    """Whether a process is the git that takes a push."""
    return b"receive-pack" in command_line(pid)


def test_apps_do_not_notice_that_the_daemon_was_killed(live: App) -> None:
    before = live.server.status(live.name)
    kill(live.server.daemon_pid())
    assert live.server.status(live.name) == before
    live.server.up()
    assert live.server.status(live.name) == before
    live.push(apps.plain("2")).ok()
    assert live.serves("hello 2")
    live.push(apps.plain("1")).ok()


def of_nobody(server: Server) -> str:
    """A container that runs and whose maker ended without a word of it in the database."""
    container = secrets.token_hex(16)

    def make() -> None:
        engine = Engine(server.layout)
        image = engine.images.find(STACK).id
        engine.containers.create(
            ContainerSpec(id=container, image=image, owner="app:999999", args=("sleep", "600"))
        )
        engine.containers.start(container)

    assert os.waitpid(forked(make), 0)[1] == 0
    return container


def by_id(server: Server) -> dict[str, str]:
    """State of every container there is."""
    listed = server.paas("containers:list", "--all", "--format", "json").ok().out
    return {one["id"]: one["state"] for one in json.loads(listed)}


def processes(server: Server, container: str) -> tuple[int, int, float]:
    """Its first process, its monitor and when it was started."""
    found = json.loads(server.paas("containers:inspect", container).ok().out)
    return found["State"]["Pid"], found["Monitor"], found["State"]["StartedAt"]


def restart(server: Server) -> None:
    server.paas("up", "--restart", "paasd").ok()


def kill_all(server: Server) -> None:
    daemon = server.daemon_pid()
    for pid in (daemon, *children(daemon)):
        kill(pid)
    server.up()


@pytest.mark.parametrize("end", [restart, kill_all])
def test_what_was_made_by_hand_outlives_the_daemon_and_what_is_nobodys_is_reaped(
    server: Server, end: Callable[[Server], None]
) -> None:
    made = server.paas("containers:run", "-d", STACK, "sleep", "600").ok().out.strip()
    created = server.paas("containers:create", STACK, "true").ok().out.strip()
    before = processes(server, made)
    lost = of_nobody(server)
    end(server)
    eventually(lambda: lost not in by_id(server))
    # It looked at all of them when it removed that one.
    assert by_id(server).items() >= {made: "running", created: "created"}.items()
    assert processes(server, made) == before
    server.paas("containers:start", created).ok()
    assert server.paas("containers:wait", created).ok().out == "0\n"
    server.paas("containers:remove", "--force", made, created).ok()


def test_a_killed_child_of_the_daemon_is_replaced(live: App) -> None:
    before = live.server.status(live.name)
    daemon = live.server.daemon_pid()
    for pid in children(daemon):
        kill(pid)
    assert live.server.status(live.name) == before
    live.ssh("apps:list").ok()
    live.server.up()
    with suppress(OSError):
        live.get("/crash")
    eventually(lambda: live.serves("hello 1"))


STAGES = {
    "build": (
        apps.plain("9", Dockerfile=apps.STACK + "RUN echo marker; sleep 300\nCMD true\n"),
        b"marker",
    ),
    "release": (
        apps.plain("9", Procfile="release: echo marker; sleep 300\nweb: true\n"),
        b"marker",
    ),
    "health": (apps.plain("9", **{"app.py": "import time; time.sleep(300)\n"}), b"web.1"),
}


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_deploy_killed_with_everything_above_it_leaves_the_old_release(
    live: App, stage: str
) -> None:
    """The master, its children and the push all go at once, in the middle of each stage."""
    files, marker = STAGES[stage]
    before = live.server.residue()
    live.repository.commit(files)
    push = live.repository.start_push()
    heard(push, marker)
    daemon = live.server.daemon_pid()
    for pid in [daemon, *children(daemon)]:
        kill(pid)
    cut(push)

    assert live.serves("hello 1")
    live.server.up()
    live.server.settles_to(before)
    assert live.serves("hello 1")
    live.repository.git("reset", "-q", "--hard", "HEAD~").ok()
    live.push(apps.plain("1")).ok()
    assert live.serves("hello 1")


def test_a_deploy_child_killed_alone_refuses_the_push(live: App) -> None:
    before = live.server.residue()
    live.repository.commit(STAGES["build"][0])
    push = live.repository.start_push()
    heard(push, b"marker")
    (pid,) = deploying(live.server)
    kill(pid)
    output, _ = push.communicate(timeout=100)
    assert push.returncode != 0, output
    live.server.settles_to(before)
    assert live.serves("hello 1")
    live.repository.git("reset", "-q", "--hard", "HEAD~").ok()


def test_a_killed_proxy_comes_back(live: App) -> None:
    nginx = [
        pid for pid, line in live.server.processes().items() if line.startswith("nginx: master")
    ]
    assert len(nginx) == 1
    kill(nginx[0])
    live.server.up()
    eventually(lambda: live.serves("hello 1"))


def holders(folder: Path) -> set[int]:
    """Who has a file below `folder` open, this process apart."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if descriptor.readlink().is_relative_to(folder):
                        found.add(int(process.name))
    return found - {os.getpid()}


def reboot(server: Server) -> None:
    """What a reboot leaves: the disk. No process, no mount, no /run, no interface, no table."""
    layout = server.layout
    pids = set(server.processes())
    # Not `glob`, which fails where one goes meanwhile.
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        if layout.id in Path(folder).parts and "cgroup.procs" in names:
            with suppress(OSError):
                procs = Path(folder, "cgroup.procs").read_text()
                pids.update(int(pid) for pid in procs.split())
    pids -= {server.sshd.process.pid} if server.sshd is not None else set()
    for pid in pids:
        kill(pid)
    # Last, or their master makes new ones: nginx's workers name no path.
    for pid in holders(layout.root):
        kill(pid)
    for point in sorted(mounts(layout), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=True)
    shutil.rmtree(layout.run)
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    for line in tables.stdout.splitlines():
        if layout.id in line:
            subprocess.run(["nft", "delete", *line.split()], check=True)


def starts_until(moment: float) -> str:
    """The plain app, which refuses to start once `moment` (epoch seconds) is over."""
    body = f"def main() -> None:\n    if time.time() > {moment!r}:\n        sys.exit(1)"
    return "import time\n" + apps.fixture("plain")["app.py"].replace("def main() -> None:", body)


def test_after_a_reboot_every_app_comes_back_and_a_broken_one_stops_none(
    live: App, other: App, app: App
) -> None:
    server = live.server
    # As soon as a push is over on this machine.
    for seconds in (15, 60):
        last_start = time.time() + seconds
        pushed = app.push(apps.plain(**{"app.py": starts_until(last_start)}))
        if pushed.code == 0:
            break
    pushed.ok()
    live.ssh("config:set {} COLOUR=green").ok()
    eventually(lambda: time.time() > last_start)

    reboot(server)
    server.up()

    eventually(lambda: live.serves("hello 1"))
    eventually(lambda: other.serves("hello 5"))
    assert live.get("/env/COLOUR").text == "green"
    live.push(apps.plain("3")).ok()
    assert live.serves("hello 3")
    live.push(apps.plain("1")).ok()


def test_down_and_up_again_is_a_clean_restart(live: App, other: App) -> None:
    live.server.down().ok()
    assert live.server.residue()["containers"] == frozenset()
    live.server.up()
    eventually(lambda: live.serves("hello 1"))
    eventually(lambda: other.serves("hello 5"))


def test_up_twice_touches_no_running_app(live: App) -> None:
    before = live.server.status(live.name)
    live.server.up()
    assert live.server.status(live.name) == before
