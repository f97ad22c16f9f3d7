"""Reading a tar archive as it comes, once and forwards, without believing it.

ustar, pax and GNU's variants (https://www.gnu.org/software/tar/manual/html_node/Standard.html;
POSIX pax, "pax Interchange Format"), as far as image layers have them. Python's own
tarfile makes a rich object of each entry, which takes longer than the kernel takes to make
the file; names stay bytes here, and only the fields that a layer has are read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from paas.engine.sparse import Extent, Malformed, gnu_extents, gnu_extents_more, pax_extents

FILE, LINK, SYMLINK, DEVICE, DIRECTORY, FIFO = range(6)
BLOCK = 512
MAX_EXTENSION = 1 << 20
"""Bytes of all pax headers and long names of an entry; Go's archive/tar allows as many of each."""

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s82x155s12x")
"""Name, mode, uid, gid, size, mtime, checksum, type, link, magic, prefix."""
_KINDS = {
    **dict.fromkeys((b"0", b"\0", b"7", b"S"), FILE),
    **{b"1": LINK, b"2": SYMLINK, b"3": DEVICE, b"4": DEVICE, b"5": DIRECTORY, b"6": FIFO},
}
_XATTR = b"SCHILY.xattr."
_NOTHING = bytes(BLOCK)


class Broken(Exception):
    """The stream is not, or not wholly, a tar archive."""


@dataclass(slots=True)
class Entry:
    """One member: what is to be made, and where its content is.

    `size` is what the file will have; of a sparse one `extents` are the parts that are in
    the archive, one after the other, from the offset `at` of it on.
    """

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    mtime: float
    size: int
    link: bytes
    at: int = 0
    xattrs: dict[bytes, bytes] | None = None
    extents: list[Extent] | None = None


@dataclass(slots=True)
class _Extended:
    """What the headers before an entry say of it."""

    name: bytes | None = None
    link: bytes | None = None
    pax: dict[bytes, bytes] = field(default_factory=dict)
    size: int = 0


class Source(Protocol):
    """The uncompressed archive, from its beginning on."""

    @property
    def place(self) -> int:
        """How many bytes have been read or skipped."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end alone."""

    def skip(self, count: int) -> int:
        """Leave out the next `count` bytes; how many there were."""


class TarStream:
    """The entries of an archive, in order; iterate once. Raises `Broken`."""

    def __init__(self, stream: Source) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        said = None
        while block := self._header():
            header = _HEADER.unpack(block)
            kind, size = header[7], _number(header[4])
            self._left, self._padding = size, -size % BLOCK
            if kind in b"xXLKg":
                said = said or _Extended()
                self._extend(said, kind, size)
                continue
            entry = self._entry(header, kind, size)
            if said is not None:
                self._override(entry, said)
                said = None
            if kind == b"S":
                self._sparse(entry, block)
            if (
                entry.extents is not None
                and sum(length for _, length in entry.extents) > self._left
            ):
                raise Broken("an entry is shorter than it says")
            entry.at = self._stream.place
            yield entry
            self._skip()

    def _take(self, count: int) -> bytes:
        """The next `count` bytes of what follows the header."""
        if count > self._left:
            raise Broken("an entry is shorter than it says")
        data = self._stream.read(count)
        if len(data) != count:
            raise Broken("it ends in the middle of an entry")
        self._left -= count
        return data

    def _skip(self) -> None:
        if self._stream.skip(self._left) < self._left:
            raise Broken("it ends in the middle of an entry")
        self._left = 0
        # umoci's archives end where the content does, without padding and empty blocks.
        self._stream.skip(self._padding)

    def _header(self) -> bytes:
        """The next header; nothing at the end."""
        block = self._stream.read(BLOCK)
        # An archive ends with empty blocks; many programs' just end.
        if not block or block == _NOTHING:
            return b""
        if len(block) != BLOCK:
            raise Broken("it ends in the middle of a header")
        if not _is_summed(block):
            raise Broken("a header's checksum is wrong")
        return block

    def _extend(self, said: _Extended, kind: bytes, size: int) -> None:
        said.size += size
        if said.size > MAX_EXTENSION:
            raise Broken(f"an entry's headers are longer than {MAX_EXTENSION} bytes")
        data = self._take(size)
        self._skip()
        if kind == b"L":
            said.name = data.partition(b"\0")[0]
        elif kind == b"K":
            said.link = data.partition(b"\0")[0]
        elif kind != b"g":
            # Global headers are left alone, as by Docker: git writes its commit into one.
            said.pax.update(_records(data))

    def _entry(self, header: tuple[bytes, ...], kind: bytes, size: int) -> Entry:
        known = _KINDS.get(kind)
        name = _name(header)
        if known is None:
            raise Broken(f"{name!r} has the unknown type {kind!r}")
        entry = Entry(
            name,
            DIRECTORY if kind == b"\0" and name.endswith(b"/") else known,
            _number(header[1]),
            _number(header[2]),
            _number(header[3]),
            _number(header[5]),
            0,
            header[8].partition(b"\0")[0] if known in (LINK, SYMLINK) else b"",
        )
        self._follows(entry, size)
        return entry

    def _follows(self, entry: Entry, size: int) -> None:
        """Only files have content: umoci gives directories a size all the same, as stat(2) does."""
        if size < 0:
            raise Broken("an entry's size is below zero")
        self._left = entry.size = size if entry.kind == FILE else 0
        self._padding = -self._left % BLOCK

    def _override(self, entry: Entry, said: _Extended) -> None:
        """Apply what the headers before an entry say of it."""
        entry.name = said.name or entry.name
        entry.link = said.link or entry.link
        if said.pax:
            self._override_by_pax(entry, said.pax)

    def _override_by_pax(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        entry.name = pax.get(b"path", entry.name)
        entry.link = pax.get(b"linkpath", entry.link)
        try:
            entry.uid, entry.gid = int(pax.get(b"uid", entry.uid)), int(pax.get(b"gid", entry.gid))
            entry.mtime = float(pax.get(b"mtime", entry.mtime))
            if b"size" in pax:
                self._follows(entry, int(pax[b"size"]))
        except ValueError as error:
            raise Broken(f"a pax header is malformed: {error}") from None
        xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
        entry.xattrs = xattrs or None
        if any(key.startswith(b"GNU.sparse.") for key in pax):
            try:
                sparse = pax_extents(pax, self._take)
            except Malformed as error:
                raise Broken(str(error)) from None
            entry.name = sparse.name or entry.name
            entry.size, entry.extents = sparse.size, sparse.extents

    def _sparse(self, entry: Entry, header: bytes) -> None:
        """GNU's old format: the map is in the header and in blocks behind it."""
        try:
            entry.size, entry.extents, more = gnu_extents(header, _number)
            while more:
                block = self._stream.read(BLOCK)
                if len(block) != BLOCK:
                    raise Broken("it ends in the middle of a header")
                more = gnu_extents_more(block, entry.extents, _number)
        except Malformed as error:
            raise Broken(str(error)) from None


def _name(header: tuple[bytes, ...]) -> bytes:
    name = header[0].partition(b"\0")[0]
    # Only POSIX has a prefix; GNU ("ustar ") keeps other things there.
    if header[9] == b"ustar\0" and header[10][0]:
        return header[10].partition(b"\0")[0] + b"/" + name
    return name


# Most entries have the modes, owners, times and sizes of others.
@lru_cache(1 << 14)
def _number(field: bytes) -> int:
    """An octal number, or GNU's base-256 one; never negative."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise Broken("a header has a number below zero")
        return int.from_bytes(field[1:], "big")
    text = field.partition(b"\0")[0].strip()
    try:
        number = int(text, 8) if text else 0
    except ValueError:
        raise Broken("a header has no number where one must be") from None
    if number < 0:
        raise Broken("a header has a number below zero")
    return number


def _is_summed(block: bytes) -> bool:
    """Compare the checksum: the sum of all bytes, its own field taken as spaces.

    The low half of Adler-32 (RFC 1950, section 9) is one more than the sum of all bytes modulo
    65521, in C: adding bytes in Python would be half of the work of reading a header.
    """
    return ((zlib.adler32(block) & 0xFFFF) - 1) % 65521 == _sum_of(block[148:156])


@lru_cache(1 << 14)
def _sum_of(field: bytes) -> int:
    """What all bytes of a header together have to be by this checksum, modulo 65521."""
    return (_number(field) - 8 * 32 + sum(field)) % 65521


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The `length key=value` lines of a pax header."""
    place = 0
    while place < len(data) and data[place]:
        space = data.find(b" ", place, place + 20)
        try:
            end = place + int(data[place:space]) if space > 0 else 0
        except ValueError:
            end = 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(data) or not equals or data[end - 1] != 0x0A:
            raise Broken("a pax header is malformed")
        yield key, value
        place = end
