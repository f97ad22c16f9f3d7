"""How the members of an archive go from the process that reads it to the one that makes them.

A frame is a piece of the uncompressed archive as it is, and the members whose headers end in it.
Their contents follow from there on: in this piece, or in those of later frames. Pieces are in
memory that both processes share, so that neither copies them; all else is in one pipe, in order,
and each piece that is done with is given back through another.
"""

from __future__ import annotations

import marshal
import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from paas.engine.members import Member
from paas.host.streams import write_all

PIECE = 1 << 18
"""The most bytes of one piece: what a processor's own cache holds."""
SLOTS = 4
"""How many pieces there are at once: so far may one of the two be ahead of the other."""

_HEAD = struct.Struct("II?")
"""Lengths in bytes of the members and of the piece; whether it is the last frame."""


class Interrupted(Exception):
    """The other side has stopped in the middle; it tells why."""


class Channel:
    """What the two have in common. It is made before the fork; each takes its own side."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, SLOTS * PIECE))
        self._frames = os.pipe2(os.O_CLOEXEC)
        self._freed = os.pipe2(os.O_CLOEXEC)
        self._open = {*self._frames, *self._freed}

    def writer(self) -> FrameWriter:
        """The side of the process that reads the archive."""
        self._close(self._frames[0], self._freed[1])
        return FrameWriter(self._memory, self._frames[1], self._freed[0])

    def reader(self) -> FrameReader:
        """The side of the process that makes the members."""
        self._close(self._frames[1], self._freed[0])
        return FrameReader(self._memory, self._frames[0], self._freed[1])

    def close(self) -> None:
        """Send and read no more: the other side sees it. Again does nothing."""
        self._close(*self._open)

    def _close(self, *ends: int) -> None:
        self._open -= {*ends}
        for end in ends:
            os.close(end)


class FrameWriter:
    """Sends frames. Raises `BrokenPipeError` when nobody reads any more."""

    def __init__(self, memory: memoryview, frames: int, freed: int) -> None:
        self._memory = memory
        self._frames = frames
        self._freed = freed
        self._members: list[tuple[object, ...]] = []
        self._sent = 0
        self._owed = 0
        """Pieces that the other side has not given back."""

    def room(self) -> memoryview:
        """Where the next piece goes, once it is free."""
        if self._owed == SLOTS:
            given = len(os.read(self._freed, SLOTS))
            if not given:
                raise BrokenPipeError
            self._owed -= given
        return _slot(self._memory, self._sent)

    def add(self, member: Member) -> None:
        """Put a member into the frame that is sent next."""
        # marshal takes no named tuples. It may be used: both sides are one program, forked.
        self._members.append(tuple(member))

    def send(self, size: int, *, last: bool = False) -> None:
        """Send a frame with the piece of `size` bytes in the room that there was."""
        members = marshal.dumps(self._members)
        self._members = []
        write_all(self._frames, _HEAD.pack(len(members), size, last) + members)
        self._sent += 1
        self._owed += 1


class FrameReader:
    """The members, and their contents. Raises `Interrupted`."""

    def __init__(self, memory: memoryview, frames: int, freed: int) -> None:
        self._memory = memory
        self._frames = frames
        self._freed = freed
        self._read = 0
        self._piece = memory[:0]
        self._start = 0
        """Where in the archive the piece begins."""
        self._waiting: deque[list[tuple[object, ...]]] = deque()
        self._ended = False

    def __iter__(self) -> Iterator[Member]:
        while True:
            while not self._waiting:
                if self._ended:
                    return
                self._next()
            for fields in self._waiting.popleft():
                yield Member(*fields)  # type: ignore[arg-type]

    def content(self, at: int, size: int) -> memoryview | None:
        """The bytes of the archive from `at` on, if all are in the piece that is here.

        They change when something else is read.
        """
        start = at - self._start
        end = start + size
        return self._piece[start:end] if end <= len(self._piece) else None

    def pieces(self, at: int, size: int) -> Iterator[memoryview]:
        """The same, as it comes, in parts of at most `PIECE` bytes."""
        while size:
            start = at - self._start
            if start >= len(self._piece):
                self._next()
                continue
            part = self._piece[start : start + size]
            at, size = at + len(part), size - len(part)
            yield part

    def _next(self) -> None:
        if self._read:
            self._give_back()
        length, size, self._ended = _HEAD.unpack(self._take(_HEAD.size))
        self._waiting.append(marshal.loads(self._take(length)))  # noqa: S302  see `FrameWriter.add`
        self._start += len(self._piece)
        self._piece = _slot(self._memory, self._read)[:size]
        self._read += 1

    def _give_back(self) -> None:
        # Who has sent the last frame does not wait for it.
        with suppress(BrokenPipeError):
            os.write(self._freed, b".")

    def _take(self, count: int) -> bytearray:
        taken = bytearray(count)
        room = memoryview(taken)
        while room:
            size = os.readv(self._frames, [room])
            if not size:
                raise Interrupted
            room = room[size:]
        return taken


def _slot(memory: memoryview, number: int) -> memoryview:
    start = number % SLOTS * PIECE
    return memory[start : start + PIECE]
