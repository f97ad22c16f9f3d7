"""Which process is meant, for certain: ids are used again, a pidfd or a start time is not.

Sources: proc(5), pidfd_open(2), pid_namespaces(7).
"""

from __future__ import annotations

import errno
import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """One process for certain: its id, and when it was started (ids are used again).

    `started` is in clock ticks since the machine's start: proc(5), /proc/pid/stat, field 22.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Who has the id `pid` now; None for nobody."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in parentheses may hold anything, so count from behind its last one.
        return cls(pid, int(stat.rpartition(b")")[2].split()[19]))

    @classmethod
    def current(cls) -> Identity:
        """This process."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise ProcessLookupError(errno.ESRCH, "/proc is not mounted")
        return identity

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return Identity.of(self.pid) == self

    def open(self) -> int | None:
        """A pidfd of this very process, or None when it is gone. The caller closes it."""
        descriptor = open_pid(self.pid)
        if descriptor is not None and Identity.of(self.pid) != self:
            os.close(descriptor)
            return None
        return descriptor

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; False when it is gone."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL after `seconds`; returns when it has ended."""
        if self.signal(signal.SIGTERM) and not self.wait(seconds):
            self.signal(signal.SIGKILL)
            self.wait(None)

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end, at most `seconds`; False when it still runs.

        One that has ended and that its parent has not asked for yet (a zombie) has ended.
        """
        descriptor = self.open()
        if descriptor is None:
            return True
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(None if seconds is None else seconds * 1000))
        finally:
            os.close(descriptor)


def open_pid(pid: int) -> int | None:
    """A pidfd of whoever has the id `pid`, or None for nobody. The caller closes it."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        # One that ends in this moment is found by its number, and is no process any more; newer
        # kernels say so of a thread alone (kernel/pid.c and fork.c, pidfd_prepare).
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def children() -> set[int]:
    """The ids of this process's children, adopted ones and zombies too (proc(5))."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread that ends in between has handed its children to another.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def namespace_depth(pid: int) -> int:
    """How many process id namespaces `pid` has an id in, from ours on; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((len(line.split()) - 1 for line in lines if line.startswith("NSpid:")), 0)
