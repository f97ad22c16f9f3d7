"""The uncompressed bytes of a blob, whatever it was compressed with.

gzip is inflated here (RFC 1952); zstd, xz and bzip2 go through their programs.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

from paas.host import processes

_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}

Pieces = Generator[bytes, None, None]


class Garbled(Exception):
    """The compression is broken, or ends in the middle."""


class Uncompressed:
    """A blob without its compression, from its beginning on; used as a context."""

    def __init__(self, blob: Path) -> None:
        # Unbuffered: a decompressor goes on where this descriptor stands.
        self._file = blob.open("rb", buffering=0)
        self._read: Callable[[memoryview], int] = self._file.readinto
        self._opened = ExitStack()
        self._opened.enter_context(self._file)

    def __enter__(self) -> Uncompressed:
        magic = self._file.read(6)
        self._file.seek(0)
        if magic.startswith(_GZIP):
            self._decompress(_inflate(iter(lambda: self._file.read(_CHUNK), b"")))
        for start, program in _PROGRAMS.items():
            if magic.startswith(start):
                self._decompress(_through([program, "-dcq"], self._file.fileno()))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def readinto(self, room: memoryview) -> int:
        """Read as much as fits, or all that there is. Raises `Garbled`, `OSError`."""
        filled = 0
        while filled < len(room) and (size := self._read(room[filled:])):
            filled += size
        return filled

    def _decompress(self, pieces: Pieces) -> None:
        self._opened.callback(pieces.close)
        self._read = _Decompressed(pieces).readinto


class _Decompressed:
    """What a decompressor gives."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readinto(self, room: memoryview) -> int:
        """Read some of it; 0 at the end. Raises `Garbled`, `OSError`."""
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return 0
        except (zlib.error, EOFError) as error:
            raise Garbled(f"its compression is broken: {error}") from None
        size = min(len(room), len(self._left))
        room[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _inflate(chunks: Iterator[bytes]) -> Pieces:
    """Decompress gzip, of several members too (RFC 1952, 2.2)."""
    inflater = zlib.decompressobj(wbits=31)
    ended = False
    for chunk in chunks:
        data, full = chunk, False
        while data or full:
            if ended:
                data = data.lstrip(b"\0")
                if not data:
                    break
                inflater, ended = zlib.decompressobj(wbits=31), False
            # In bounded pieces: a bomb of zeros would not fit into memory.
            piece = inflater.decompress(data, _CHUNK)
            yield piece
            data, full = inflater.unconsumed_tail, len(piece) == _CHUNK
            if inflater.eof:
                ended, data, full = True, inflater.unused_data, False
    if not ended:
        raise EOFError("it ends in the middle")


def _through(argv: list[str], source: int) -> Pieces:
    read, write = os.pipe2(os.O_CLOEXEC)
    process = processes.spawn(argv, stdin=source, stdout=write)
    os.close(write)
    try:
        with os.fdopen(read, "rb", buffering=0) as output:
            yield from iter(lambda: output.read(_CHUNK), b"")
    except GeneratorExit:
        process.kill()
        process.wait()
        raise
    if (code := process.wait()) != 0:
        raise EOFError(f"{argv[0]} ended with {processes.describe_code(code)}")
