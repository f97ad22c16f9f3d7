"""Running a program of a plugin: in a container, with what its plugin.toml declares.

It is nobody on the host, in a file system that it cannot change, without a network unless it
may reach the internet, and it ends: at its time limit, at its memory, at its answer's size.
Its files are in /plugin, where it also starts; /tmp is its own, and gone behind it.

    standard input     the call, one JSON document
    standard output    the answer: one JSON object, or nothing (of a command: what it says)
    standard error     lines for whoever reads the push's output
    exit code          0; any other is a failure (of a command: the command's)

    PAAS_PLUGIN        its name
    PAAS_HOOK, PAAS_COMMAND or PAAS_BUILDER   what it is run for
    PAAS_APP           the app's name, if it is about one
    and what `plugin:set` set, under the names of its [[setting]]s
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.engine.build.context import Context
from paas.engine.build.laying import lay
from paas.engine.build.target import Target
from paas.engine.call import Ended, RanTooLong
from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec
from paas.errors import PaasError
from paas.host.files import FileLock
from paas.model.env import Secret, fits_environment
from paas.model.harmless import harmless
from paas.model.limits import MIB, Limits
from paas.model.report import Report
from paas.plugin.answer import MAX_ANSWER
from paas.plugin.declaration import Declaration, Program

FILES, SOURCE = "/plugin", "/source"
LABEL = "paas.plugin"
PIDS = 256
TMP_BYTES = 64 * MIB
END_POLL_SECONDS = 0.05
MAX_LINES, MAX_LINE = 200, 500
"""Of what it says on standard error; more is dropped."""


class PluginFailed(PaasError):
    """A program of a plugin did not do what it was asked for; the brief says how."""


@dataclass(frozen=True)
class Plugin:
    """An enabled plugin: its files on the host, and the image its programs run in."""

    name: str
    version: str
    folder: Path
    declaration: Declaration
    image: str = ""
    settings: Mapping[str, Secret] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Task:
    """One run of one program. `kind` is HOOK, COMMAND or BUILDER, `name` which of those."""

    plugin: Plugin
    program: Program
    kind: str
    name: str
    app: str
    document: Mapping[str, Any] = field(repr=False)
    words: tuple[str, ...] = ()
    source: Context | None = field(default=None, repr=False)

    def spec(self) -> ContainerSpec:
        """Its container."""
        plugin = self.plugin
        fitting = {k: v for k, v in plugin.settings.items() if fits_environment(k, v)}
        return ContainerSpec(
            id=secrets.token_hex(16),
            image=plugin.image,
            owner=owner_of(plugin.name),
            args=(*self.program.run, *self.words),
            env={
                **fitting,
                "PAAS_PLUGIN": plugin.name,
                f"PAAS_{self.kind}": self.name,
                "PAAS_APP": self.app,
                "HOME": "/tmp",  # noqa: S108 - the container's own
            },
            cwd=FILES,
            user="0:0",
            hostname=plugin.name,
            labels={LABEL: plugin.name},
            network="private" if plugin.declaration.permissions.network else "none",
            limits=Limits(memory_bytes=plugin.declaration.memory, pids=PIDS),
            read_only=True,
            tmpfs={"/tmp": TMP_BYTES},  # noqa: S108 - the container's own
        )


def owner_of(plugin: str) -> str:
    """The owner of a plugin's user id range and containers."""
    return f"plugin:{plugin}"


class Programs:
    """Runs the programs of plugins."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, task: Task, report: Report) -> bytes:
        """Run one to its end and return its answer. Raises `PluginFailed`."""
        answer = bytearray()

        def take(data: bytes) -> None:
            answer.extend(data)
            if len(answer) > MAX_ANSWER:
                raise PluginFailed(f"its answer is longer than {MAX_ANSWER // 1024} KiB")

        said = Said(report)
        ended = self._run(task, take, said.take)
        said.finish()
        if ended.oom_killed:
            limit = task.plugin.declaration.memory // MIB
            raise PluginFailed(f"it ran out of its {limit} MiB of memory")
        if ended != 0:
            raise PluginFailed(f"it exited with code {ended:d}")
        return bytes(answer)

    def stream(
        self, task: Task, output: Callable[[bytes], None], errors: Callable[[bytes], None]
    ) -> int:
        """Run one for whoever reads it; its exit code. Raises `PluginFailed`."""
        return int(self._run(task, output, errors))

    def using(self, plugin: str, *, alone: bool = False) -> FileLock:
        """Held by whoever runs a program of a plugin, so that all of them are known to be over
        to the one who takes it `alone` and gives back the plugin's user ids.
        """
        return FileLock(self._engine.layout.locks / f"plugin-{plugin}.use", shared=not alone)

    def end(self, plugin: str) -> None:
        """Kill what runs of a plugin, and give back its user ids."""
        alone = self.using(plugin, alone=True)
        while not alone.try_acquire():
            for container in self._engine.containers.list():
                if container.owner == owner_of(plugin):
                    self._engine.foreground.kill(container.id)
            self._engine.clock.sleep(END_POLL_SECONDS)
        try:
            self._engine.forget(owner_of(plugin))
        finally:
            alone.release()

    def _run(
        self, task: Task, output: Callable[[bytes], None], errors: Callable[[bytes], None]
    ) -> Ended:
        given = json.dumps(task.document).encode()
        try:
            with self.using(task.plugin.name), self._laid(task) as upper:
                return self._engine.foreground.converse(
                    task.spec(), given, output, errors, float(task.program.seconds), upper
                )
        except RanTooLong:
            raise PluginFailed(f"it took longer than {task.program.seconds} s") from None

    @contextmanager
    def _laid(self, task: Task) -> Iterator[Path | None]:
        """A directory with the pushed files in it, gone behind the block."""
        if task.source is None:
            yield None
            return
        workspace = self._engine.builder.tools.workspace
        with workspace.scratch() as upper:
            workspace.imitate(upper, self._engine.images.get(task.plugin.image).layers)
            lay(task.source, Target(upper), SOURCE)
            yield upper


class Said:
    """Standard error on its way to a report: whole lines, harmless, and not without end."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._begun = b""
        self._left = MAX_LINES

    def take(self, data: bytes) -> None:
        """Tell the lines that are whole."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        self._begun = self._begun[: 4 * MAX_LINE]
        for line in lines:
            self._tell(line)

    def finish(self) -> None:
        """Tell what came behind the last line."""
        if self._begun.strip():
            self._tell(self._begun)
        self._begun = b""

    def _tell(self, line: bytes) -> None:
        if self._left > 0:
            self._left -= 1
            text = harmless(line.decode("utf-8", "replace"))[:MAX_LINE]
            self._report.detail(text if self._left else "(it goes on)")
