"""Where the content of a sparse file in a tar archive belongs.

GNU tar's formats: the old one, whose map is in the header, and pax 0.1 and 1.0
(https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Extent = tuple[int, int]
"""Offset and length of a part that has content."""

MAX_EXTENTS = 1 << 18
_OLD = slice(386, 482)
_BLOCK = 512
_DIGITS = 20
"""Of the largest number that a file's size can be, and more."""


class Malformed(Exception):
    """The map contradicts itself."""


@dataclass(frozen=True)
class PaxSparse:
    """A sparse file as pax headers describe it."""

    name: bytes | None
    size: int
    extents: list[Extent]


def gnu_extents(header: bytes, number: Callable[[bytes], int]) -> tuple[int, list[Extent], bool]:
    """Size, the first extents, and whether a block of more follows."""
    extents: list[Extent] = []
    _add(extents, header[_OLD], number)
    return number(header[483:495]), extents, bool(header[482])


def gnu_extents_more(block: bytes, extents: list[Extent], number: Callable[[bytes], int]) -> bool:
    """Add those of a further block; whether yet another follows."""
    _add(extents, block[:504], number)
    return bool(block[504])


def _add(extents: list[Extent], table: bytes, number: Callable[[bytes], int]) -> None:
    for place in range(0, len(table), 24):
        if table[place]:
            pair = number(table[place : place + 12]), number(table[place + 12 : place + 24])
            extents.append(pair)
    if len(extents) > MAX_EXTENTS:
        raise Malformed(f"a sparse file has more than {MAX_EXTENTS} parts")


def pax_extents(pax: dict[bytes, bytes], take: Callable[[int], bytes]) -> PaxSparse:
    """What a pax header says; version 1.0 has its map at the start of the content.

    Raises `Malformed`.
    """
    name = pax.get(b"GNU.sparse.name")
    try:
        if pax.get(b"GNU.sparse.major") == b"1":
            numbers = _numbers_of_content(take)
        else:
            numbers = [int(text) for text in pax[b"GNU.sparse.map"].split(b",") if text]
        size = int(pax.get(b"GNU.sparse.realsize") or pax[b"GNU.sparse.size"])
    except (KeyError, ValueError) as error:
        raise Malformed(f"the map of a sparse file is malformed: {error}") from None
    if len(numbers) % 2 or min((size, *numbers)) < 0:
        raise Malformed("the map of a sparse file is malformed")
    return PaxSparse(name, size, list(zip(numbers[::2], numbers[1::2], strict=True)))


def _numbers_of_content(take: Callable[[int], bytes]) -> list[int]:
    """Decimal lines, padded to whole blocks: how many extents, then offset and length each."""
    numbers: list[int] = []
    rest, wanted = b"", 1
    while True:
        *lines, rest = (rest + take(_BLOCK)).split(b"\n")
        numbers += map(int, lines)
        if numbers:
            wanted = 1 + 2 * numbers[0]
        if wanted > 2 * MAX_EXTENTS:
            raise Malformed(f"a sparse file has more than {MAX_EXTENTS} parts")
        if numbers and len(numbers) >= wanted:
            return numbers[1:wanted]
        if len(rest) > _DIGITS:
            raise Malformed("the map of a sparse file is malformed")
