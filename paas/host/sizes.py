"""How much of the disk a tree takes, which a container may be changing all the while.

The tree is as hostile as one that is to be removed: deeper than a path may be long, with
directories that become links or vanish. The walk is that of fts(3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paas.host.files import MAX_DEPTH, open_directory

BLOCK = 512
"""Bytes of a unit of st_blocks, whatever the file system (stat(2))."""

CLOSED = -1

Inode = tuple[int, int]
"""Device and number: the number alone is one of each file system."""


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
    return sum(_Walk(top, set() if seen is None else seen))


@dataclass
class _Level:
    """A directory on the way down. Its descriptor is closed while too many are open."""

    descriptor: int
    inode: Inode
    directories: list[str] = field(default_factory=list)
    """Those in it that were not looked into yet."""


class _Walk:
    """Yields the bytes of each entry below an open directory, which it closes."""

    def __init__(self, top: int, seen: set[Inode]) -> None:
        self._seen = seen
        self._levels: list[_Level] = [_level(top)]

    def __iter__(self) -> Iterator[int]:
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

    def _down(self, level: _Level, name: str) -> Iterator[int]:
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
            for lost in self._levels:
                _close(lost)
            self._levels.clear()

    def _entries(self, level: _Level) -> Iterator[int]:
        """The bytes of what is in a directory, whose own directories are kept for later."""
        with os.scandir(level.descriptor) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != level.inode[0]:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        level.directories.append(entry.name)
                    elif status.st_nlink > 1 and self._is_counted((status.st_dev, status.st_ino)):
                        continue
                    yield status.st_blocks * BLOCK

    def _is_counted(self, inode: Inode) -> bool:
        counted = inode in self._seen
        self._seen.add(inode)
        return counted


def _level(descriptor: int) -> _Level:
    status = os.fstat(descriptor)
    return _Level(descriptor, (status.st_dev, status.st_ino))


def _close(level: _Level) -> None:
    if level.descriptor != CLOSED:
        os.close(level.descriptor)
        level.descriptor = CLOSED
