"""A process that stays when its starter has ended, for machines without systemd.

It has its own session, nothing of the starter's descriptors, a log file, and a record of
pid and start time: a pid alone may be another process's by tomorrow.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic
from paas.host.processes import Process, spawn
from paas.host.waiting import wait_until

LOG_LINES = 15
"""Of the log, shown when a process does not come up."""


class NotStarted(PaasError):
    """A process of the server ended, or was not ready in time."""


@dataclass(frozen=True)
class Background:
    """One such process: what it is, where it is recorded, and how one sees that it is ready."""

    name: str
    argv: Sequence[str]
    record: Path
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 30.0
    """Both for getting ready and, after SIGTERM, for ending."""

    def running(self) -> int | None:
        """Its pid, if what was recorded still runs."""
        try:
            kept = json.loads(self.record.read_text())
            pid, started = int(kept["pid"]), int(kept["started"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if start_time(pid) == started else None

    def start(self) -> bool:
        """Start it unless it runs, and wait until it is ready; says whether it was started.

        Callers hold a lock. Raises `NotStarted` with the end of its log.
        """
        if self.running() and wait_until(self.ready, self.seconds):
            return False
        self.stop()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            process = spawn(self.argv, stdout=log, stderr=log, env=self.env, cwd=Path("/"))
        finally:
            os.close(log)
        self._remember(process)
        wait_until(lambda: process.poll() is not None or self.ready(), self.seconds)
        code = process.poll()
        if code is None and self.ready():
            process.leave()
        else:
            self.stop()
            process.wait()
            what = "is not ready" if code is None else f"ended with exit code {code}"
            raise NotStarted(
                f"{self.name} {what}", self._log_tail(), f"All it said is in {self.log}."
            )
        return True

    def stop(self) -> None:
        """SIGTERM, after `seconds` SIGKILL; returns when it is gone. Not running is fine."""
        pid = self.running()
        if pid is not None:
            with suppress(ProcessLookupError):
                end(os.pidfd_open(pid), self.seconds)
        self.record.unlink(missing_ok=True)

    def _remember(self, process: Process) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        kept = {"pid": process.pid, "started": start_time(process.pid)}
        write_atomic(self.record, json.dumps(kept))

    def _log_tail(self) -> list[str]:
        return self.log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if it does not run (any more).

    Field 22 of proc(5) `/proc/PID/stat`, counted behind the name, which may hold anything.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def end(pidfd: int, seconds: float) -> None:
    """SIGTERM, and SIGKILL after `seconds`; waits for the end and closes the pidfd."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not select.select([pidfd], [], [], seconds)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [])
    finally:
        os.close(pidfd)
