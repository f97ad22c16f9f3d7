"""What a deploy runs in containers of their own: tests, predeploy, release, postdeploy.

All of them run before the commit point, so that one that fails leaves the old release as it
is and the push is rejected.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.deploy.draft import RELEASE, Draft
from paas.deploy.running import instance_environment, labels, new_container_id, owner_of
from paas.deploy.scratch import Scratch
from paas.deploy.storage import MountsOf
from paas.engine.build.run import Tail
from paas.engine.build.stubs import remove_stubs
from paas.engine.bundle import BOUND
from paas.engine.call import Ended
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.spec import ContainerSpec, command_of
from paas.errors import PaasError
from paas.model.app import App
from paas.model.appjson import AppJson, Scripts
from paas.model.declared import additions
from paas.model.env import Secret
from paas.model.report import Report

TEST = "test"
SECRET_BYTES = 32
SYSTEM_MOUNTS = ("/proc", "/dev", "/sys")


class PhaseFailed(PaasError):
    """A command of a deploy ended with a code other than 0."""

    def __init__(self, what: str, command: str, ended: Ended, lines: Sequence[str] = ()) -> None:
        why = "was killed at its memory limit" if ended.oom_killed else f"exited with code {ended}"
        super().__init__(
            f"The {what} command {why}: {command}",
            [*(["Its last lines:"] if lines else []), *(f"  {line}" for line in lines)],
            "Nothing was deployed. Mend the command and push again.",
        )


def generate_secret() -> str:
    """64 hex digits, as Heroku's and Dokku's generator gives."""
    return os.urandom(SECRET_BYTES).hex()


@dataclass(frozen=True)
class Phases:
    """Runs the commands that a push declares."""

    engine: Engine
    scratch: Scratch
    mounts: MountsOf

    def test(self, app: App, draft: Draft, app_json: AppJson, report: Report) -> None:
        """Run the tests of the app in its new image, without the app's own config.

        Raises `PhaseFailed` with their last lines, `NoScratchServices` and `MissingConfig`.
        """
        command = app_json.test.command or draft.processes.get(TEST)
        if not command:
            report.step("No tests are declared: neither in app.json nor as `test` in the Procfile")
            return
        report.step(f"Testing: {command}")
        with self.scratch.services(app, app_json.test.addons) as urls:
            # Tests write and wipe: what they must never be given is the app's database.
            declared = additions((*app_json.env, *app_json.test.env), urls, generate_secret)
            config = {**declared, **urls, "CI": Secret("true")}
            bare = replace(draft, config=config, inherited=frozenset())
            self._run(app, bare, TEST, command, report)

    def predeploy(self, app: App, draft: Draft, scripts: Scripts, report: Report) -> Draft:
        """Run app.json's predeploy; what it writes becomes part of the image, as in Dokku."""
        if scripts.predeploy is None:
            return draft
        report.step(f"Running the predeploy command: {scripts.predeploy}")
        image = self._committed(app, draft, scripts.predeploy, report)
        return replace(draft, image=image.id)

    def release(self, app: App, draft: Draft, report: Report) -> None:
        """Run the Procfile's release process, if it has one."""
        command = draft.processes.get(RELEASE)
        if command:
            report.step(f"Running the release command: {command}")
            self._run(app, draft, RELEASE, command, report)

    def postdeploy(self, app: App, draft: Draft, scripts: Scripts, report: Report) -> None:
        """Run app.json's postdeploy: Dokku's each time, Heroku's with the first deploy.

        The new instances are up by now; the traffic is sent to them when it went well.
        """
        commands = [scripts.postdeploy, None if app.deployed else scripts.first_postdeploy]
        for command in filter(None, commands):
            report.step(f"Running the postdeploy command: {command}")
            self._run(app, draft, "postdeploy", command, report)

    def _run(self, app: App, draft: Draft, kind: str, command: str, report: Report) -> None:
        image = self.engine.images.get(draft.image)
        spec = _spec(app, draft, kind, command, image)
        if kind != TEST:
            # Tests write and wipe: files of the app are none of theirs either.
            spec = replace(spec, mounts=self.mounts(app, kind))
        told = _Told(report)
        ended = self.engine.foreground.run_reported(spec, told.output)
        if ended != 0:
            raise PhaseFailed(kind, command, ended, told.tail.lines() if kind == TEST else ())

    def _committed(self, app: App, draft: Draft, command: str, report: Report) -> Image:
        engine = self.engine
        image = engine.images.get(draft.image)
        spec = _spec(app, draft, "predeploy", command, image)

        def make(upper: Path) -> None:
            ended = engine.foreground.run_on(spec, image.config, image.layers, upper, report.output)
            below = [engine.layers.path(layer) for layer in image.layers]
            remove_stubs(upper, below, (*SYSTEM_MOUNTS, *BOUND))
            if ended != 0:
                raise PhaseFailed("predeploy", command, ended)

        layer = engine.builder.tools.workspace.layer(image.layers, make)
        if layer is None:
            return image
        return engine.images.add(image.config, (*image.layers, layer))


class _Told:
    """Output on its way to the report, of which the last lines are remembered."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.tail = Tail()

    def output(self, data: bytes) -> None:
        self._report.output(data)
        self.tail.add(data)


def _spec(app: App, draft: Draft, kind: str, command: str, image: Image) -> ContainerSpec:
    container = new_container_id()
    name = f"{kind}.{container[:4]}"
    environment: Mapping[str, str] = instance_environment(draft, name)
    return ContainerSpec(
        id=container,
        image=image.id,
        owner=owner_of(app.id),
        args=command_of(image.config, shell_command=command),
        env=environment,
        hostname=f"{app.name}-{kind}"[:63].rstrip("-"),
        labels=labels(app, kind, name),
        limits=draft.limits_of(kind),
    )
