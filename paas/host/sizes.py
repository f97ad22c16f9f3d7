"""How much of the disk a tree takes, which a container may be changing all the while."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from paas.host.walk import Inode, Walk

BLOCK = 512
"""Bytes of a unit of st_blocks, whatever the file system (stat(2))."""


def tree_size(path: Path, seen: set[Inode] | None = None) -> int:
    """Bytes on disk below `path`, without itself; 0 when there is none.

    Holes take none, and a hard-linked file counts once: `seen` has those that were counted
    elsewhere, and gets those that are counted here. What is mounted below is left out, as
    is what is removed or moved away meanwhile.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    return sum(_bytes(Walk(top), set() if seen is None else seen))


def _bytes(walk: Walk, seen: set[Inode]) -> Iterator[int]:
    for _, _, status in walk:
        inode = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1 or inode not in seen:
            yield status.st_blocks * BLOCK
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            seen.add(inode)
