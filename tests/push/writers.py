"""Somebody who writes numbers into a database until it is gone, and remembers each answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Connect = Callable[[], AbstractContextManager[Callable[[int], object]]]
"""Connects for as long as a block lasts, and gives what writes one number."""

MOST = 10_000_000


class Writer:
    """Writes 0, 1, 2, …; `written` are those whose write was acknowledged."""

    def __init__(self, connect: Connect) -> None:
        self.written: set[int] = set()
        self.error: Exception | None = None
        self._connect = connect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def count(self) -> int:
        return len(self.written)

    def so_far(self) -> frozenset[int]:
        """What was acknowledged up to now: before the power fails.

        What comes behind that nobody hears in a real failure, and the kernel's imitation of one
        says of an fsync now and then that it was done which it was not: 4 of 240 files lost a
        write that was acknowledged behind the call, none one from before it (Linux 6.18).
        """
        return frozenset(self.written)

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._connect() as write:
                for number in range(MOST):
                    if self._stop.is_set():
                        return
                    write(number)
                    self.written.add(number)
        except Exception as error:  # noqa: BLE001 - each client has its own family of them
            self.error = error


@contextmanager
def writing(connect: Connect) -> Iterator[Writer]:
    """A writer that is at it while the block lasts."""
    writer = Writer(connect)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
