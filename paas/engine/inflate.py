"""The uncompressed bytes of a blob, whatever it was compressed with.

gzip is inflated here (RFC 1952); zstd, xz and bzip2 go through their programs.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

from paas.host import processes

_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


class Garbled(Exception):
    """The compression is broken, or ends in the middle."""


class Uncompressed:
    """A blob without its compression, from its beginning on; used as a context."""

    def __init__(self, blob: Path) -> None:
        # Unbuffered: a decompressor goes on where this descriptor stands.
        self._file = blob.open("rb", buffering=0)
        self._pieces: Iterator[bytes] | None = None
        self._left = memoryview(b"")

    def __enter__(self) -> Uncompressed:
        magic = self._file.read(6)
        self._file.seek(0)
        if magic.startswith(_GZIP):
            self._pieces = _inflate(iter(lambda: self._file.read(_CHUNK), b""))
        else:
            for start, program in _PROGRAMS.items():
                if magic.startswith(start):
                    self._pieces = _through([program, "-dcq"], self._file.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._pieces, Generator):
            self._pieces.close()
        self._file.close()

    def readinto(self, room: memoryview) -> int:
        """Read as much as fits, or all that there is. Raises `Garbled`, `OSError`."""
        read = self._file.readinto if self._pieces is None else self._piece
        filled = 0
        while filled < len(room) and (size := read(room[filled:])):
            filled += size
        return filled

    def _piece(self, room: memoryview) -> int:
        """Some of what the decompressor gives; 0 at the end."""
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces or iter(())))
        except StopIteration:
            return 0
        except (zlib.error, EOFError) as error:
            raise Garbled(f"its compression is broken: {error}") from None
        size = min(len(room), len(self._left))
        room[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
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


def _through(argv: list[str], source: int) -> Iterator[bytes]:
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
