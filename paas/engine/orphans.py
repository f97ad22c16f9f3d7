"""Being the parent of what the runtime starts and leaves: only a parent sees exit codes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from paas.host import identity, syscalls


class Orphans:
    """Adopts while anybody wants it: several threads may, for a process it is one switch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: set[int] = set()

    @contextmanager
    def adopted(self) -> Iterator[None]:
        """Have orphans become our children (prctl(2), PR_SET_CHILD_SUBREAPER).

        When the last user leaves, what was adopted and is left over (a call failed
        half-way) is killed and reaped: the first process of a container cannot end while
        a zombie of ours is in its process id namespace (pid_namespaces(7)).
        """
        with self._lock:
            if self._users == 0:
                self._before = identity.children()
                syscalls.become_subreaper()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)
                    self._reap(identity.children() - self._before)

    def _reap(self, pids: set[int]) -> None:
        for pid in pids:
            # Our own children have an id in our namespace alone.
            if identity.namespace_depth(pid) > 1:
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED)
