"""Reading nginx's logs: their last lines, and what comes, over rotations.

nginx writes to a renamed log until it opens the new one, and each of its workers does that in
its own time: the older one is read on too, until there is yet another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

FOLLOW_S = 0.1
"""Between two looks at a followed log."""

BLOCK = 65536
"""Bytes read at once: a line is rarely longer, and what a reader missed is not kept in memory."""

KEPT = 2
"""Files of one log: the one that is written, and the one before it."""


def rotated(log: Path) -> Path:
    """Where a log is after its rotation; what was there before is gone."""
    return log.with_suffix(".log.1")


def last(log: Path, count: int) -> bytes:
    """The last `count` lines, also out of the rotated log; none of a log that is not there."""
    files = _newer(log, ())
    try:
        return _last(files, count)
    finally:
        for file in files:
            file.close()


def follow(
    log: Callable[[], Path | None], count: int, pause: Callable[[float], None] = time.sleep
) -> Iterator[bytes]:
    """The last `count` lines, then what comes, some whole lines at a time.

    `log` is asked before each look, since it may be renamed; None ends it. One that is not
    there is waited for. `pause` gets seconds and may raise to end it.
    """
    files: list[_File] = []
    try:
        path = log()
        if path is not None:
            files = _newer(path, ())
            yield _last(files, count)
        while path is not None:
            files += _newer(path, files)
            for file in files:
                while lines := file.read():
                    yield lines
            while len(files) > KEPT:
                files.pop(0).close()
            pause(FOLLOW_S)
            path = log()
    finally:
        for file in files:
            file.close()


class _File:
    """An open file of a log, and how far it is read: to the end of a line."""

    def __init__(self, path: Path) -> None:
        """Raises `FileNotFoundError`."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._fd)
        self.identity = (status.st_dev, status.st_ino)
        self._position = 0

    def close(self) -> None:
        os.close(self._fd)

    def last(self, count: int) -> list[bytes]:
        """The last `count` lines that are there now. What is read next came behind them."""
        start = end = os.fstat(self._fd).st_size
        data, step = b"", BLOCK
        # One end more than asked for: behind it the first of them begins.
        while start > 0 and data.count(b"\n") <= count:
            step = min(step, start)
            start -= step
            data = os.pread(self._fd, step, start) + data
            step *= 2
        *lines, begun = data.split(b"\n")
        self._position = end - len(begun)
        return lines[-count:] if count else []

    def read(self) -> bytes:
        """Whole lines that were not read yet, not all of them if they are many."""
        if os.fstat(self._fd).st_size < self._position:
            self._position = 0  # somebody has emptied it
        data = os.pread(self._fd, BLOCK, self._position)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == BLOCK:
            whole = data  # an endless line is passed on in parts
        self._position += len(whole)
        return whole


def _newer(log: Path, known: Sequence[_File]) -> list[_File]:
    """What there is of a log beside the `known` files, the older one first."""
    found: list[_File] = []
    # In this order one that is renamed meanwhile is met twice, and none is missed.
    for path in (log, rotated(log)):
        with suppress(FileNotFoundError):
            file = _File(path)
            if any(file.identity == each.identity for each in (*known, *found)):
                file.close()
            else:
                found.insert(0, file)
    return found


def _last(files: Sequence[_File], count: int) -> bytes:
    """The last lines of all files together; each is at its end then."""
    lines: list[bytes] = []
    for file in reversed(files):
        lines = file.last(count - len(lines)) + lines
    return b"".join(line + b"\n" for line in lines)
