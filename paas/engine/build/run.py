"""RUN: a command in a container of its own, whose changes become a layer."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from paas.engine.build.agents import AgentSocket
from paas.engine.build.buildhost import APT_FILE, CA_FILE, BuildHost
from paas.engine.build.diskwatch import DiskWatch
from paas.engine.build.instructions import Document, Instruction
from paas.engine.build.mounts import SecretFile
from paas.engine.build.rules import BuildTimedOut, Rules
from paas.engine.build.stubs import remove_stubs
from paas.engine.bundle import BOUND
from paas.engine.call import Ended, RanTooLong
from paas.engine.config import ImageConfig
from paas.engine.foreground import Foreground
from paas.engine.inside import CommandNotExecutable, CommandNotFound
from paas.engine.layers import LayerId, Layers
from paas.engine.spec import ContainerSpec, Mount
from paas.engine.users import NoSuchUser
from paas.host import files
from paas.host.disk import RESERVE
from paas.model.env import Secret
from paas.model.layout import Layout
from paas.model.limits import MIB
from paas.model.report import Report

SCRIPTS = "/dev/pipes"
"""Where a document that is a script is, as in BuildKit; in the runtime's own tmpfs."""

TAIL_LINES = 15
TAIL_BYTES = 4096
_SYSTEM_MOUNTS = ("/proc", "/dev", "/sys")
_MEANINGS = {
    126: "the command cannot be executed",
    127: "a command was not found",
    137: "it was killed",
    139: "it crashed (segmentation fault)",
}


@dataclass(frozen=True)
class Command:
    """One RUN, expanded. `hidden_env` is in no key and in no image."""

    args: tuple[str, ...]
    env: Mapping[str, str | Secret] = field(repr=False)
    script: Document | None = None
    network: bool = True
    hidden_env: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    secrets: tuple[SecretFile, ...] = field(default=(), repr=False)
    agents: tuple[AgentSocket, ...] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How a command ended, and the last lines it printed."""

    ended: Ended
    lines: Sequence[str]
    disk_full: bool = False
    """It was ended because it left the disk no room."""


class Runner:
    """Runs the commands of builds."""

    def __init__(
        self,
        layout: Layout,
        layers: Layers,
        foreground: Foreground,
        host: Callable[[], BuildHost],
    ) -> None:
        """`host` is asked once, for the first command that is run."""
        self._directory = layout.run / "build"
        self._layers = layers
        self._foreground = foreground
        self._ask_host = host
        self._running: set[str] = set()

    @cached_property
    def _host(self) -> BuildHost:
        return self._ask_host()

    def run(
        self,
        command: Command,
        step: Instruction,
        below: Sequence[LayerId],
        config: ImageConfig,
        upper: Path,
        rules: Rules,
        report: Report,
    ) -> None:
        """Run `command` on the layers `below` with what it writes in `upper`.

        Raises `StepFailed` unless it ends with 0, and `BuildTimedOut`.
        """
        try:
            result = self.attempt(command, below, config, upper, rules, report)
        except RanTooLong:
            raise BuildTimedOut(rules.deadline_s, f"{step.at}: {step.summary}") from None
        except (CommandNotFound, CommandNotExecutable, NoSuchUser) as error:
            raise step.at.failure(
                f"{step.summary}: {error.brief}", error.details, error.resolution
            ) from None
        if result.ended != 0:
            raise step.at.failure(f"{step.summary}: {outcome(result, rules)}", result.lines)

    def attempt(
        self,
        command: Command,
        below: Sequence[LayerId],
        config: ImageConfig,
        upper: Path,
        rules: Rules,
        report: Report,
    ) -> Result:
        """Run `command` as `run` does, whatever it ends with.

        Raises `RanTooLong`, `CommandNotFound`, `CommandNotExecutable` and `NoSuchUser`.
        """
        name = f"build-{secrets.token_hex(8)}"
        tail = Tail()

        def output(data: bytes) -> None:
            report.output(data)
            tail.add(data)

        watch = DiskWatch(self._layers.disk, lambda: self._foreground.kill(name))
        with self._files(name, command) as mounts, self._named(name), watch:
            spec = self._spec(name, command, mounts, rules)
            left = rules.seconds_left()
            ended = self._foreground.run_on(
                spec, config, below, upper, output, left, waiting=rules.waiting
            )
        targets = [*_SYSTEM_MOUNTS, *BOUND, *command.tmpfs, *(mount.target for mount in mounts)]
        remove_stubs(upper, [self._layers.path(layer) for layer in below], targets)
        return Result(ended, tail.lines(), watch.full)

    def _spec(
        self, name: str, command: Command, mounts: tuple[Mount, ...], rules: Rules
    ) -> ContainerSpec:
        return ContainerSpec(
            id=name,
            image="",
            owner=rules.owner,
            args=command.args,
            env={**self._host.variables, **command.hidden_env, **command.env},
            hostname="build",
            network="private" if command.network else "none",
            mounts=mounts,
            tmpfs=command.tmpfs,
            limits=rules.limits,
            # setcap and sudo work in what is built, so they must in the build.
            no_new_privileges=False,
        )

    def interrupt(self) -> None:
        """Kill every command that runs; whoever waits for one sees it end."""
        for name in list(self._running):
            self._foreground.kill(name)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        self._running.add(name)
        try:
            yield
        finally:
            self._running.discard(name)

    @contextmanager
    def _files(self, name: str, command: Command) -> Iterator[tuple[Mount, ...]]:
        """The files that the step has and its layer has not."""
        directory = self._directory / name
        mounts = list(command.mounts)
        if self._host.ca_bundle is not None:
            mounts.append(Mount(self._host.ca_bundle, CA_FILE, read_only=True))
        try:
            if self._host.apt_options:
                source = self._file(directory, "apt.conf", self._host.apt_options, 0o644)
                mounts.append(Mount(source, APT_FILE, read_only=True))
            if command.script is not None:
                script = command.script
                source = self._file(directory / "scripts", script.name, script.content, 0o755)
                mounts.append(Mount(source.parent, SCRIPTS, read_only=True))
            yield tuple(mounts)
        finally:
            files.remove_tree(directory)

    def recover(self) -> None:
        """Remove the files of steps that were killed. No build may be running."""
        files.remove_tree(self._directory)

    def _file(self, directory: Path, name: str, content: str, mode: int) -> Path:
        # Traversed by the container's root, which is nobody here; not listed.
        for path in (self._directory, directory.parent, directory):
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
        path = directory / name
        files.write_atomic(path, content, mode)
        return path


class Tail:
    """The last lines of an output that comes in pieces."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._rest = b""

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._lines.extend(line[-TAIL_BYTES:] for line in lines)
        self._rest = rest[-TAIL_BYTES:]

    def lines(self) -> list[str]:
        """Decoded, without what a progress bar wrote over."""
        whole = [*self._lines, self._rest] if self._rest else [*self._lines]
        texts = [line.decode("utf-8", "replace").rstrip("\r") for line in whole]
        return [text.rsplit("\r", 1)[-1] for text in texts[-TAIL_LINES:]]


def outcome(result: Result, rules: Rules) -> str:
    """How it ended, in words. A shell says 137 of a killed child, and may say anything else."""
    ended = result.ended
    if result.disk_full:
        return f"out of disk, a build must leave {RESERVE // MIB} MiB free (exit code {ended:d})"
    if ended.oom_killed:
        limit = rules.limits.memory_bytes // MIB
        return f"out of memory, a build may use {limit} MiB (exit code {ended:d})"
    if ended.forks_refused:
        return f"out of processes, a build may have {rules.limits.pids} (exit code {ended:d})"
    meaning = f" ({_MEANINGS[ended]})" if ended in _MEANINGS else ""
    return f"exit code {ended:d}{meaning}"
