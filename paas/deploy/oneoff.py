"""Commands of an app in containers of their own: `run`, and the release phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join

from paas.deploy.draft import Draft
from paas.deploy.running import instance_environment, labels, new_container_id, owner_of
from paas.deploy.storage import MountsOf
from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec, command_of
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.report import Report

COMMAND = "paas.command"
"""The label that says what a one-off runs."""


class OneOff:
    """Runs one-off containers of apps, with the image and config of a draft."""

    def __init__(self, engine: Engine, mounts: MountsOf) -> None:
        self._engine = engine
        self._mounts = mounts

    def run(
        self,
        app: App,
        draft: Draft,
        argv: Sequence[str],
        env: Mapping[str, str],
        terminal: Terminal,
        ttl_s: float | None = None,
    ) -> int:
        """Run `argv`, or the process type it names, on the caller's descriptors.

        The exit code is the command's. Raises `CommandNotFound`, and `RanTooLong` after
        `ttl_s` seconds.
        """
        spec = self.spec(app, draft, "run", argv, env)
        return self._engine.foreground.run(
            spec,
            terminal.stdin,
            terminal.stdout,
            terminal.stderr,
            terminal if terminal.isatty else None,
            ttl_s,
        )

    def reported(self, app: App, draft: Draft, process_type: str, report: Report) -> int:
        """Run a process type of the Procfile without input, its output on the report."""
        spec = self.spec(app, draft, process_type, [process_type], {})
        return self._engine.foreground.run_reported(spec, report.output)

    def spec(
        self,
        app: App,
        draft: Draft,
        kind: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        own_labels: Mapping[str, str] | None = None,
        logs: Path | None = None,
    ) -> ContainerSpec:
        """The container that runs `argv`, or the process type it names.

        `logs` is the directory that its output is kept in; without, it is its caller's.
        """
        image = self._engine.images.get(draft.image)
        named = draft.processes.get(argv[0]) if len(argv) == 1 else None
        words = command_of(image.config, args=None if named else argv, shell_command=named)
        container = new_container_id()
        name = f"{kind}.{container[:4]}"
        spec = self._spec(app, draft, kind, name, container, words, env)
        return replace(
            spec,
            labels={**spec.labels, COMMAND: join(argv), **(own_labels or {})},
            log=logs / f"{name}.{container}.log" if logs else None,
        )

    def shell_spec(
        self, app: App, draft: Draft, kind: str, name: str, container: str, command: str
    ) -> ContainerSpec:
        """The container `name` that has a shell run `command`, or the process type it names."""
        image = self._engine.images.get(draft.image)
        named = draft.processes.get(command)
        words = command_of(image.config, shell_command=named or command)
        spec = self._spec(app, draft, kind, name, container, words, {})
        return replace(spec, labels={**spec.labels, COMMAND: command})

    def _spec(
        self,
        app: App,
        draft: Draft,
        kind: str,
        name: str,
        container: str,
        words: tuple[str, ...],
        env: Mapping[str, str],
    ) -> ContainerSpec:
        image = self._engine.images.get(draft.image)
        return ContainerSpec(
            id=container,
            image=image.id,
            owner=owner_of(app.id),
            args=words,
            env={**instance_environment(draft, name), **env},
            hostname=f"{app.name}-{kind}"[:63].rstrip("-"),
            labels=labels(app, kind, name),
            limits=draft.limits_of(kind),
            mounts=self._mounts(app, kind),
        )
