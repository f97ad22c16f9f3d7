"""conmon: has the runtime create a container, keeps its output and its exit code.

It outlives whoever started it. Source: conmon(8) and https://github.com/containers/conmon.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from typing import Any

from paas.engine.bundle import Bundle
from paas.engine.container import Record
from paas.engine.runtime import Runtime, failure
from paas.errors import PaasError
from paas.host import processes
from paas.host.cgroup import Group
from paas.host.identity import Identity
from paas.host.processes import Process

CREATE_SECONDS = 60.0
REOPEN_LOGS = b"2 0 0\n"
"""Message type 2 on conmon's control fifo: open the log again."""


class MonitorFailed(PaasError):
    """conmon did not do its work."""


class Creation:
    """A container that the monitor is having created."""

    def __init__(self, bundle: Bundle, runtime: Runtime, monitor: Process, sync: int) -> None:
        self._bundle = bundle
        self._runtime = runtime
        self._monitor = monitor
        self._sync = sync

    def wait(self) -> tuple[Identity, Identity]:
        """Return (init, monitor) when the container is created.

        Raises `RuntimeFailed` with the runtime's words, `MonitorFailed`.
        """
        try:
            answer = self._answer()
            self._monitor.wait()
        except BaseException:
            self.abandon()
            raise
        os.close(self._sync)
        pid = int(answer.get("data", answer.get("pid", -1)))
        if pid <= 0:
            raise failure(str(answer.get("message", "")), [self._runtime.program])
        init = Identity.of(pid)
        monitor = Identity.of(int(self._bundle.monitor_pid_file.read_text()))
        if init is None or monitor is None:
            raise MonitorFailed(
                "The container was gone as soon as it was created",
                resolution="Was it killed for lack of memory? See dmesg.",
            )
        return init, monitor

    def abandon(self) -> None:
        """Nobody waits for it any more: end what was started, and leave no zombie."""
        self._monitor.kill()
        self._monitor.wait()
        os.close(self._sync)

    def _answer(self) -> dict[str, Any]:
        """The one line of JSON that conmon sends."""
        poll = select.poll()
        poll.register(self._sync, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            if not poll.poll(CREATE_SECONDS * 1000):
                raise MonitorFailed(
                    f"The runtime did not create the container within {CREATE_SECONDS:g} s",
                    resolution="Is the machine out of memory or its disk hanging? See dmesg.",
                )
            chunk = os.read(self._sync, 65536)
            if not chunk:
                raise MonitorFailed(
                    "conmon ended before the container was created",
                    [line.decode("utf-8", "replace")] if line else [],
                    "Is conmon installed and not killed? Run `paas doctor`.",
                )
            line += chunk
        answer: dict[str, Any] = json.loads(line)
        return answer


def begin(bundle: Bundle, runtime: Runtime, record: Record, group: Group) -> Creation:
    """Start conmon in `group`, in a session of its own, with no descriptor of ours."""
    sync, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        monitor = processes.spawn(
            arguments(bundle, runtime, record),
            env={"_OCI_SYNCPIPE": str(theirs)},
            # It writes a file `oom` where it is.
            cwd=bundle.path,
            pass_fds=(theirs,),
            cgroup=group.create(),
        )
    except BaseException:
        os.close(sync)
        raise
    finally:
        os.close(theirs)
    return Creation(bundle, runtime, monitor, sync)


def arguments(bundle: Bundle, runtime: Runtime, record: Record) -> list[str]:
    """conmon's argv."""
    # Only with `stdin` and no terminal does conmon give a pipe, not the host's null device.
    given_a_pipe = record.stdin and not record.terminal
    prefix, program = runtime.split(empty_stdin=not given_a_pipe, no_stdout=record.terminal)
    words = [*prefix, *program]
    return [
        "conmon",
        "--api-version=1",
        f"--cid={bundle.id}",
        f"--cuuid={bundle.id}",
        f"--name={bundle.id}",
        f"--bundle={bundle.path}",
        f"--runtime={processes.locate(words[0])}",
        *(f"--runtime-arg={word}" for word in words[1:]),
        f"--container-pidfile={bundle.init_pid_file}",
        f"--conmon-pidfile={bundle.monitor_pid_file}",
        f"--exit-dir={bundle.exits}",
        f"--persist-dir={bundle.path}",
        f"--log-path={f'k8s-file:{record.log}' if record.log else 'off'}",
        "--log-level=error",
        "--full-attach",
        # Not one fsync per container that ends: a log is not worth a disk's turn.
        "--no-sync-log",
        *(("--terminal",) if record.terminal else ()),
        # Who attaches and leaves again does not end the program's input.
        *(("--stdin", "--leave-stdin-open") if record.stdin else ()),
    ]


def reopen_log(bundle: Bundle, rename: Callable[[], None]) -> None:
    """Have conmon write to a new file at its log's path, when `rename` took the old away.

    Raises `MonitorFailed` when it is gone, and then renames nothing.
    """
    _tell(bundle, REOPEN_LOGS, rename)


def resize(bundle: Bundle, columns: int, rows: int) -> None:
    """Give the container's terminal another size. Raises `MonitorFailed` when it is gone."""
    _tell(bundle, f"1 {rows} {columns}\n".encode())


def _tell(bundle: Bundle, message: bytes, first: Callable[[], None] | None = None) -> None:
    """Write to conmon's control fifo, and `first` do something if it listens."""
    try:
        control = os.open(bundle.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MonitorFailed(
            f"The monitor of {bundle.id} does not listen",
            [str(error)],
            "The container is restarted when that is noticed; see `paas ps`.",
        ) from error
    try:
        if first is not None:
            first()
        os.write(control, message)
    finally:
        os.close(control)
