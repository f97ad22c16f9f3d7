"""Waiting for what git receives, of somebody whose connection may be dead.

A laptop that sleeps says nothing, and a server that waits for data sends none, so that TCP does
not notice either. Meanwhile the next push of the app waits for its turn.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.deploy.tree import PushRefused
from paas.host.clock import Clock
from paas.host.processes import Process
from paas.host.sockets import Frame, PeerGone, Receiver

UPLOAD_SECONDS = 3600.0
"""Until git has everything."""

STALL_SECONDS = 120.0
"""In which it has to get on with anything."""

LOOK_SECONDS = 5.0

Done = frozenset[tuple[int, str, str, str]]


@dataclass
class Upload:
    """What one git receives; its hook speaks at the other end of `connection`. In seconds."""

    connection: socket.socket
    git: Process
    clock: Clock
    limit_s: float = UPLOAD_SECONDS
    stall_s: float = STALL_SECONDS
    look_s: float = LOOK_SECONDS

    def frame(self) -> Frame | None:
        """The hook's frame; None when git ended without running it (nothing to update).

        Raises `PushRefused`, git being killed, when nothing has happened for `stall_s`, or not
        all within `limit_s`.
        """
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        poll.register(self.git.pidfd, select.POLLIN)
        began = changed = self.clock.monotonic()
        done = work_done(self.git.pid)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(1000 * self.look_s)}
            if self.connection.fileno() in ready:
                try:
                    return Receiver(self.connection).receive()
                except PeerGone:
                    return None
            if self.git.pidfd in ready:
                return None
            now, before = self.clock.monotonic(), done
            done = work_done(self.git.pid)
            changed = changed if done == before else now
            if now >= began + self.limit_s:
                self._refuse(
                    f"The push did not arrive within {self.limit_s / 60:.0f} minutes",
                    "Push again; if it is that large, push it in parts.",
                )
            if now >= changed + self.stall_s:
                self._refuse(
                    f"Nothing of the push arrived for {self.stall_s:.0f} seconds", "Push again."
                )

    def _refuse(self, why: str, resolution: str) -> None:
        # With its children: one of them unpacks.
        os.killpg(self.git.pid, signal.SIGKILL)
        self.git.wait()
        raise PushRefused(why, resolution=resolution)


def work_done(pid: int) -> Done:
    """What a process and its children, and so on, have read and computed: the same twice if none
    of them did anything in between. Source: proc_pid_io(5), proc_pid_stat(5).
    """
    found, pending = set(), [pid]
    while pending:
        process = Path(f"/proc/{pending.pop()}")
        # One that ends meanwhile is left out, which is a change too.
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            read = (process / "io").read_text().split("\n", 1)[0]
            found.add((int(process.name), read, fields[11], fields[12]))
            pending += map(int, (process / f"task/{process.name}/children").read_text().split())
    return frozenset(found)
