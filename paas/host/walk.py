"""A walk through a tree that a container may be changing all the while.

The tree is as hostile as one that is to be removed: deeper than a path may be long, with
directories that become links or vanish. The walk is that of fts(3).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from paas.host.files import MAX_DEPTH, open_directory

CLOSED = -1

Inode = tuple[int, int]
"""Device and number: the number alone is one of each file system."""

Entry = tuple[int, str, os.stat_result]
"""The descriptor of the directory it is in, its name there, and what it is."""


@dataclass
class _Level:
    """A directory on the way down. Its descriptor is closed while too many are open."""

    descriptor: int
    inode: Inode
    directories: list[str] = field(default_factory=list)
    """Those in it that were not looked into yet."""


class Walk:
    """Yields each entry below an open directory, which it closes, but for what is mounted there.

    What is removed or moved away meanwhile is left out. `entering` is called with the
    descriptor of each directory, the first too, before its entries are read.
    """

    def __init__(self, top: int, entering: Callable[[int], object] = lambda _: None) -> None:
        self._entering = entering
        self._levels: list[_Level] = [_level(top)]
        self.lost = False
        """Whether the tree was moved about so that the rest of it was not found again."""

    def __iter__(self) -> Iterator[Entry]:
        try:
            yield from self._entries(self._levels[0])
            while self._levels:
                level = self._levels[-1]
                if level.directories:
                    yield from self._down(level, level.directories.pop())
                else:
                    self._up()
        finally:
            for level in self._levels:
                _close(level)

    def _down(self, level: _Level, name: str) -> Iterator[Entry]:
        try:
            below = open_directory(level.descriptor, name)
        except OSError:
            # Gone, something else by now, or another mount.
            return
        self._levels.append(_level(below))
        if len(self._levels) > MAX_DEPTH:
            _close(self._levels[-1 - MAX_DEPTH])
        yield from self._entries(self._levels[-1])

    def _up(self) -> None:
        done = self._levels.pop()
        try:
            if self._levels and self._levels[-1].descriptor == CLOSED:
                self._reopen(self._levels[-1], done)
        finally:
            _close(done)

    def _reopen(self, level: _Level, below: _Level) -> None:
        """Go back to a directory whose descriptor was closed, from the one below it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        level.descriptor = os.open("..", flags, dir_fd=below.descriptor)
        if _level(level.descriptor).inode != level.inode:
            # The one below was moved: nothing says where the rest is now.
            self.lost = True
            for lost in self._levels:
                _close(lost)
            self._levels.clear()

    def _entries(self, level: _Level) -> Iterator[Entry]:
        """What is in a directory, whose own directories are kept for later."""
        self._entering(level.descriptor)
        with os.scandir(level.descriptor) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != level.inode[0]:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        level.directories.append(entry.name)
                    yield level.descriptor, entry.name, status


def _level(descriptor: int) -> _Level:
    status = os.fstat(descriptor)
    return _Level(descriptor, (status.st_dev, status.st_ino))


def _close(level: _Level) -> None:
    if level.descriptor != CLOSED:
        os.close(level.descriptor)
        level.descriptor = CLOSED
