"""A process that stays when its starter has ended, for machines without systemd.

It has its own session, nothing of the starter's descriptors, a log file, and a record of
pid and start time: a pid alone may be another process's by tomorrow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic
from paas.host.identity import Identity
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
        process = self._recorded()
        return process.pid if process is not None and not process.wait(0) else None

    def _recorded(self) -> Identity | None:
        try:
            kept = json.loads(self.record.read_text())
            process = Identity(int(kept["pid"]), int(kept["started"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return process if process.alive else None

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
        process = self._recorded()
        if process is not None:
            process.end(self.seconds)
        self.record.unlink(missing_ok=True)

    def _remember(self, process: Process) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        identity = Identity.of(process.pid)
        # One that has ended already is no longer anybody's to find.
        if identity is not None:
            write_atomic(self.record, json.dumps(asdict(identity)))

    def _log_tail(self) -> list[str]:
        return self.log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
