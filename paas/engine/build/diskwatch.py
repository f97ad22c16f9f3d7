"""A build that fills the disk is ended while the server still has room to write its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from paas.host.disk import LOOK_SECONDS, Disk


class DiskWatch:
    """While it is entered, `end` is called when the disk has no more room, again and again:
    what it ends may not have begun.

    It looks from a thread of its own; `end` has to bear that.
    """

    def __init__(self, disk: Disk, end: Callable[[], None]) -> None:
        self._disk = disk
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="disk-watch")
        self.full = False

    def __enter__(self) -> DiskWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if self._disk.room() == 0:
                self.full = True
                self._end()
