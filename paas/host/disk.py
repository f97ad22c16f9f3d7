"""How much room a disk has: asked before something large is begun, and told when it is full."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError

RESERVE = 512 << 20
"""Bytes that images leave free: databases and logs must still be written."""

RESERVE_INODES = 10_000

LOOK_SECONDS = 0.2
"""Between two looks at what something writes: within it that is less than is kept free of it."""


class DiskFull(PaasError):
    """There is no room on the disk for what was asked."""

    def __init__(self, what: str, free: str, path: Path) -> None:
        super().__init__(
            f"There is no room for {what}: {free} free below {path}",
            resolution="See what takes the room with `paas df`, and free what nothing uses "
            "with `paas gc`.",
        )


@dataclass(frozen=True)
class Disk:
    """The file system below `path`, of which `reserve` bytes are kept free."""

    path: Path
    reserve: int = RESERVE
    inodes: int = RESERVE_INODES

    def room(self) -> int:
        """Bytes that may be written."""
        status = self._status()
        return max(0, status.f_bavail * status.f_frsize - self.reserve)

    def admit(self, what: str, needed: int = 0) -> None:
        """Return when there is room for `needed` bytes and some files. Raises `DiskFull`."""
        status = self._status()
        free = status.f_bavail * status.f_frsize
        if free < self.reserve + needed or free == 0:
            raise DiskFull(what, f"{free / 1e6:.0f} MB", self.path)
        # Some file systems (btrfs) make inodes as they go, and say 0.
        if status.f_files and status.f_favail < self.inodes:
            raise DiskFull(what, f"{status.f_favail} inodes", self.path)

    def _status(self) -> os.statvfs_result:
        path = self.path
        while not path.exists():
            path = path.parent
        return os.statvfs(path)


@contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """No file that this process writes gets larger: writes beyond raise `OSError` (EFBIG).

    getrlimit(2), RLIMIT_FSIZE; Python ignores the signal that comes with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
