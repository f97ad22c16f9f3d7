"""Reading a container's log on from where a reader was, also one that has been killed since.

Nothing is open between two reads, and the position is a value: whoever keeps it on disk goes
on from there over rotations, restarts and lines that are written in parts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from paas.engine import logs
from paas.engine.logs import Joiner, Line

READ_BYTES = 256 * 1024
"""Of one log at once: far more than conmon writes in one record."""


HEAD_BYTES = 35
"""A time with nanoseconds: what a file begins with tells it from one that has its inode later."""


@dataclass(frozen=True)
class Position:
    """Behind a whole record of one file, which begins with `head`. `parts` are lines that have
    begun, by stream.
    """

    inode: int
    offset: int
    head: bytes = b""
    parts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """What was read, and where that ends. `gap`: something before it is gone, unread."""

    lines: list[Line]
    position: Position | None
    gap: bool = False


def read(path: Path, position: Position | None, limit: int = READ_BYTES) -> Read:
    """The lines behind `position`, of at most `limit` bytes; from the oldest on without one.

    Nothing new is an empty list. A log that is gone keeps its position.
    """
    files = _files(path)
    if not files:
        return Read([], position)
    place = None if position is None else _place(files, position)
    gap = False
    if place is None:
        # Rotated away since: what is still there came behind it.
        gap = position is not None
        place, position = 0, None
    elif position is not None:
        position = replace(position, inode=files[place][1])
    for file, inode in files[place:]:
        if position is None or position.inode != inode:
            # A line that began in the file before goes on in this one.
            position = Position(inode, 0, parts={} if position is None else position.parts)
        lines, position = _read(file, path.name, position, limit)
        if lines:
            return Read(lines, position, gap)
    return Read([], position, gap)


def _place(files: list[tuple[Path, int]], position: Position) -> int | None:
    """Which file is that of the position, and not another one with the same number.

    In a copy of the logs, as on another machine, it has another number.
    """
    for number, (path, inode) in enumerate(files):
        if inode == position.inode and _begins(path, position.head):
            return number
    copies = (n for n, (path, _) in enumerate(files) if _begins(path, position.head))
    return next(copies, None) if position.head else None


def _begins(path: Path, head: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES).startswith(head)
    except FileNotFoundError:
        return False


def _files(path: Path) -> list[tuple[Path, int]]:
    """The log with what was rotated of it, the oldest first, and their inodes."""
    found = []
    for file in (*reversed(logs.older(path)), path):
        try:
            found.append((file, file.stat().st_ino))
        except FileNotFoundError:
            continue
    return found


def _read(path: Path, source: str, position: Position, limit: int) -> tuple[list[Line], Position]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_ino != position.inode:
                # Rotated between the look and the open: the next look finds it.
                return [], position
            head = file.read(HEAD_BYTES)
            if not head.startswith(position.head):
                return [], position
            file.seek(position.offset)
            data = file.read(limit)
    except FileNotFoundError:
        return [], position
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and len(data) == limit:
        # No record of conmon's is so long: passed over, not waited for.
        whole = data
    joiner = Joiner(source, position.parts)
    lines = [line for raw in whole.split(b"\n") if (line := joiner.add(raw)) is not None]
    if not whole:
        return lines, position
    return lines, Position(position.inode, position.offset + len(whole), head, joiner.parts)
