"""Children of the master: forked, never executed, gone when the master is gone.

Each has a control group, killed when it ends with whatever it left behind in there.
"""

from __future__ import annotations

import os
import selectors
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from paas.host import syscalls

Work = Callable[[], int]

FAILED = 70
"""Exit code of a child that could not do its work (EX_SOFTWARE, sysexits.h)."""

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that ask the master to stop."""

ALL = ""
"""The group that holds every child's."""


class Cells(Protocol):
    """Groups of processes by name: `paas.host.commandgroups`."""

    def enter(self, name: str) -> None:
        """Move this process into the group, which is made."""

    def kill(self, name: str) -> None:
        """SIGKILL to all in it; waits for their end and removes it."""


@dataclass(frozen=True)
class Child:
    """A running child. `ended` is called with its exit code, negative for a signal."""

    pid: int
    pidfd: int
    cell: str | None
    ended: Callable[[int], None]


class Children:
    """Forks, and reaps when the selector says that one has ended. It waits for nothing."""

    def __init__(
        self, selector: selectors.BaseSelector, cells: Cells, let_go: Callable[[], None]
    ) -> None:
        """`let_go` runs in each child: it closes what is the master's alone.

        The selector's owner calls the data of each key that is ready.
        """
        self._selector = selector
        self._cells = cells
        self._let_go = let_go
        self._running: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._running)

    def fork(self, work: Work, ended: Callable[[int], None], cell: str | None = None) -> None:
        """Start `work` in a child, in the group `cell` if it names one.

        Raises `OSError` when the machine gives no more processes.
        """
        parent = os.getpid()
        # A signal between fork and `_prepare` would run the master's handler in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_a_child(parent, cell, work)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        # Not reaped before `_reap`, so the pid is still the child's.
        child = Child(pid, os.pidfd_open(pid), cell, ended)
        self._running[child.pidfd] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._reap(child))

    def signal_all(self, number: int) -> None:
        """Send a signal to every child."""
        for child in self._running.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.pidfd, number)

    def _reap(self, child: Child) -> None:
        """Collect a child that has ended, and end what it left behind."""
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.pidfd)
        del self._running[child.pidfd]
        os.close(child.pidfd)
        if child.cell is not None:
            self._sweep(child.cell)
        child.ended(os.waitstatus_to_exitcode(status))

    def _sweep(self, cell: str) -> None:
        """In a child of its own: a process in the kernel's hands may take its time to die."""

        def work() -> int:
            self._cells.kill(cell)
            return 0

        self.fork(work, lambda _: None)

    def _be_a_child(self, parent: int, cell: str | None, work: Work) -> NoReturn:
        code = FAILED
        try:
            syscalls.die_with_parent(signal.SIGKILL)
            if os.getppid() == parent:  # else it was gone before the kernel was told
                self._prepare(cell)
                code = work()
        except BaseException:  # noqa: BLE001  a child never returns into the master's loop
            traceback.print_exc()
        finally:
            os._exit(code)

    def _prepare(self, cell: str | None) -> None:
        signal.set_wakeup_fd(-1)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        for pidfd in self._running:
            os.close(pidfd)
        self._running.clear()
        self._let_go()
        os.setsid()
        if cell is not None:
            self._cells.enter(cell)
