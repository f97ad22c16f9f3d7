"""What an archive asks for, judged: the members that are to be made, in order.

All that the archive alone decides is decided here: paths, owners, limits. What the directory
decides, which the members are made in, is `extract`'s. Semantics are those of
https://github.com/opencontainers/image-spec, layer.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from paas.engine.sparse import Extent
from paas.engine.tarstream import DEVICE, DIRECTORY, LINK, Entry, TarStream

MAX_ID = 65535
NOBODY = 65534
_NO_NAMES = (b"", b".", b"..")


class Refused(Exception):
    """The archive asks for something that no honest layer does, or for too much."""


@dataclass(frozen=True)
class Limits:
    """What one layer may bring."""

    entries: int = 2_000_000
    bytes: int = 64 << 30
    reason: str = "the most that a layer may have"
    name: int = 4095


class Member(NamedTuple):
    """One file of any kind: `path` (absolute, below the layer's root) in the directory `folder`.

    `folder` is empty for what is in the root, which itself is the path `/`. `size` is what a
    regular file will have; its content is at the offset `at` of the uncompressed archive, all of
    it, or the `extents` of a sparse one. `link` is a symlink's text, or the path of a hard one.
    """

    kind: int
    folder: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: float
    at: int
    size: int
    link: bytes
    xattrs: dict[bytes, bytes] | None
    extents: list[Extent] | None


class Members:
    """The members of an archive; iterate once. The counts are complete at the end.

    Raises `Refused`, and what the archive raises.
    """

    def __init__(self, archive: TarStream, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._entries = 0
        self.bytes = 0
        self.nobodies = 0
        """Files of ids above 65535, which no range has: they belong to nobody (65534)."""
        self.devices = 0
        """Device nodes left out."""

    def __iter__(self) -> Iterator[Member]:
        for entry in self._archive:
            self._count(entry)
            path = inside(entry.name)
            folder, _, name = path.rpartition(b"/")
            if entry.kind == DEVICE:
                self.devices += bool(name)
            elif name or entry.kind == DIRECTORY:
                yield self._member(entry, folder, path)

    def _count(self, entry: Entry) -> None:
        limits = self._limits
        self._entries += 1
        self.bytes += entry.size
        if self._entries > limits.entries:
            raise Refused(f"it has more than {limits.entries} entries")
        if self.bytes > limits.bytes:
            raise Refused(f"it unpacks to more than {limits.bytes} bytes, {limits.reason}")
        if max(len(entry.name), len(entry.link)) > limits.name:
            raise Refused(f"an entry's name, or its link's, is longer than {limits.name} bytes")

    def _member(self, entry: Entry, folder: bytes, path: bytes) -> Member:
        uid, gid = entry.uid, entry.gid
        if not (0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID):
            self.nobodies += entry.kind != LINK
            uid = uid if 0 <= uid <= MAX_ID else NOBODY
            gid = gid if 0 <= gid <= MAX_ID else NOBODY
        if entry.extents and max(map(sum, entry.extents)) > entry.size:
            raise Refused(f"{entry.name!r} has content behind its end")
        return Member(
            entry.kind, folder, path, entry.mode, uid, gid, entry.mtime, entry.at, entry.size,
            inside(entry.link) if entry.kind == LINK else entry.link, entry.xattrs, entry.extents,
        )  # fmt: skip


def inside(name: bytes) -> bytes:
    """The path of an entry below the root. Raises `Refused` for a climbing one."""
    folder, _, last = name.rpartition(b"/")
    if b"\0" in last:
        raise Refused("an entry's name has a zero byte")
    if last in _NO_NAMES:
        return _folder(name)[:-1] or b"/"
    return _folder(folder) + last


# Entries of one directory mostly follow each other.
@lru_cache(256)
def _folder(name: bytes) -> bytes:
    """The same of a directory, with a slash at its end."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise Refused(f"the entry {os.fsdecode(name)!r} climbs out of the layer")
    if b"\0" in name:
        raise Refused("an entry's name has a zero byte")
    return b"".join((b"/", *(part + b"/" for part in parts)))
