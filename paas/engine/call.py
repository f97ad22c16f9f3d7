"""One process that the runtime starts for a caller, whose child it becomes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler
from paas.engine.pump import Pump
from paas.engine.runtime import failure
from paas.engine.streams import Console, Streams, connect_terminal
from paas.errors import PaasError
from paas.host import processes
from paas.host.identity import Identity
from paas.host.terminal import Terminal


class RanTooLong(PaasError):
    """A one-off was killed at its time limit (exit code 124, as of timeout(1))."""

    code = 124

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"It was killed because it ran longer than {seconds:g} seconds",
            resolution="Make it faster, or give it more time.",
        )


class Ended(int):
    """An exit code: 128 and the signal's number after one. It also says why."""

    oom_killed: bool = False
    forks_refused: bool = False


class Call:
    """One process that the runtime starts for us, from its begin to its exit code."""

    def __init__(
        self,
        bundler: Bundler,
        bundle: Bundle,
        streams: Streams,
        terminal: Terminal | None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self._bundler = bundler
        self._bundle = bundle
        self._streams = streams
        self._terminal = terminal
        self._pass_fds = pass_fds
        self._log = bundle.path / f"runtime-{os.getpid()}.log"
        self._console: Console | None = None
        self._undo = ExitStack()

    def __enter__(self) -> Call:
        self._undo.callback(lambda: Pump(self._streams.flows).close())
        self._undo.callback(self._streams.release)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def begin(self, command: Sequence[str], last: Sequence[str]) -> None:
        """Have the runtime begin to make the process; what it takes time for goes on beside us."""
        words = list(command)
        errors = os.memfd_create("runtime", os.MFD_CLOEXEC)
        self._undo.callback(os.close, errors)
        given = self._streams.given
        if self._terminal is not None:
            self._console = Console(self._bundle.path / f"console-{os.getpid()}")
            self._undo.callback(self._console.close)
            words += ["--console-socket", str(self._console.path)]
            given = [errors, errors, errors]
        self._undo.callback(self._log.unlink, missing_ok=True)
        runtime = self._bundler.runtime
        options = ["--log-format", "json", "--log", str(self._log)]
        self._command = runtime.command(*options, *words, *last)
        self._making = processes.spawn(
            self._command,
            stdin=given[0],
            stdout=given[1],
            stderr=given[2],
            pass_fds=self._pass_fds,
            cgroup=self._bundler.cgroups.monitor(self._bundle.id).create(),
            preexec=runtime.hiding() if command[0] == "create" else None,
        )
        self._undo.callback(self._give_up)

    def created(self, pid_file: Path) -> Identity:
        """Wait until the process is made. Raises `RuntimeFailed` with the runtime's words."""
        if self._console is not None and self._terminal is not None:
            master = self._console.receive(self._making)
            if master is not None:
                self._undo.callback(os.close, master)
                self._streams.flows += connect_terminal(master, self._terminal)
        if self._making.wait() != 0:
            raise failure(_words(self._log), self._command)
        self._streams.release()
        init = Identity.of(int(pid_file.read_text()))
        if init is None:
            raise failure("It was gone as soon as it was created", self._command)
        return init

    def _give_up(self) -> None:
        """End a runtime that nobody waits for any more."""
        if self._making.poll() is None:
            self._making.kill()
            self._making.wait()

    def finish(self, init: Identity, timeout_s: float | None) -> int:
        """Copy until it ends, and return its exit code. Raises `RanTooLong`."""
        ended = os.pidfd_open(init.pid)
        self._undo.callback(os.close, ended)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with ExitStack() as mode:
            if self._terminal is not None:
                mode.enter_context(self._terminal.raw())
            try:
                in_time = Pump(self._streams.flows).run(ended, deadline)
            except BaseException:
                _kill(ended)
                raise
        if not in_time:
            _kill(ended)
            raise RanTooLong(timeout_s or 0)
        return _reap(ended)


def joining(
    process: Mapping[str, Any], args: Sequence[str], env: Mapping[str, str], *, terminal: bool
) -> dict[str, Any]:
    """The `process` of a further process of a container, from that of its first."""
    variables = dict(pair.partition("=")[::2] for pair in process["env"])
    if terminal:
        variables.setdefault("TERM", "xterm")
    variables.update(env)
    return {
        **process,
        "terminal": terminal,
        "args": list(args),
        "env": [f"{key}={value}" for key, value in variables.items()],
    }


def _kill(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    _reap(pidfd)


def _reap(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if result is None:
        return 0
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def _words(log: Path) -> str:
    """What the runtime said: one JSON object a line, of which `msg` is for people."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(str(json.loads(line).get("msg", line)) for line in lines if line)
