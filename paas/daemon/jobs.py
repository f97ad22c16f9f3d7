"""The supervisor's own children: one process per thing that may take long."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from paas.errors import PaasError
from paas.host.syscalls import die_with_parent

EXPECTED = 1
BUG = 3


@dataclass
class Jobs:
    """Forked jobs by key: one at a time for each key, `limit` in all."""

    limit: int
    prepare: Callable[[], None]
    """Called first in each child: to let go of what it must not share."""
    _running: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def start(self, key: Hashable, work: Callable[[], object]) -> bool:
        """Run `work` in a child; says whether there was room for it.

        Its outcome is an exit code (`finished`): 0, 1 for a `PaasError`, 3 for a bug.
        """
        if key in self._running or len(self._running) >= self.limit:
            return False
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(self._child(parent, work))
        self._running[key] = (pid, os.pidfd_open(pid))
        return True

    def _child(self, parent: int, work: Callable[[], object]) -> int:
        try:
            die_with_parent(signal.SIGKILL)
            if os.getppid() != parent:
                # It was gone before the kernel was told: its successor has this job too.
                return BUG
            self.prepare()
            work()
        except PaasError as error:
            sys.stderr.write(f"{error}\n")
            return EXPECTED
        except BaseException:  # noqa: BLE001 - the edge of a process: it ends in a log, not in fork
            traceback.print_exc()
            return BUG
        finally:
            sys.stderr.flush()
        return 0

    @property
    def descriptors(self) -> dict[int, Hashable]:
        """Readable when a job has ended."""
        return {pidfd: key for key, (_, pidfd) in self._running.items()}

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._running)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._running

    def finished(self) -> Iterator[tuple[Hashable, int]]:
        """The keys and exit codes of jobs that have ended since the last look."""
        for key, (pid, pidfd) in list(self._running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                os.close(pidfd)
                del self._running[key]
                yield key, os.waitstatus_to_exitcode(status)
