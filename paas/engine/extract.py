"""Applying a layer's tar archive to the directory that is this process's root.

Runs in a child that has called chroot(2) and umask(0): whatever an archive says, nothing
outside of the layer is reached. Semantics are those of
https://github.com/opencontainers/image-spec, layer.md; whiteouts become overlayfs's (a 0:0
character device, an opaque xattr).
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from paas.engine.tarstream import (
    DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    PIECE,
    SYMLINK,
    Entry,
    TarStream,
)

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_WHITEOUT, _OPAQUE, _AUFS = WHITEOUT.encode(), OPAQUE.encode(), b".wh..wh."
_OPAQUE_XATTR = "trusted.overlay.opaque"
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")

MAX_ID = 65535
NOBODY = 65534
_NO_NAMES = (b"", b".", b"..")
_ZEROS = bytes(PIECE)
_HOLE = 64 << 10
"""Zeros that are worth a hole: a file that was sparse is so again."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX

Paths = set[bytes]


class Refused(Exception):
    """The archive asks for something that no honest layer does, or for too much."""


@dataclass(frozen=True)
class Limits:
    """What one layer may bring."""

    entries: int = 2_000_000
    bytes: int = 64 << 30
    reason: str = "the most that a layer may have"
    name: int = 4095


@dataclass
class Applied:
    """What was made of an archive."""

    entries: int = 0
    bytes: int = 0
    nobodies: int = 0
    """Files of ids above 65535, which no range has: they belong to nobody (65534)."""
    devices: int = 0
    """Device nodes left out."""
    implied: Paths = field(default_factory=set)
    """Directories that are there for what is in them: they have no entry of their own."""


def apply_archive(stream: IO[bytes], limits: Limits) -> Applied:
    """Make the files of a tar `stream` below /. The caller has called chroot(2).

    Raises `Refused`, `paas.engine.tarstream.Broken`, `OSError`.
    """
    extraction = _Extraction(TarStream(stream), limits)
    extraction.run()
    while stream.read(PIECE):
        pass  # Padding after the end is part of the digest, and the writer waits for it.
    return extraction.applied


class _Extraction:
    """One archive on its way to the disk."""

    def __init__(self, archive: TarStream, limits: Limits) -> None:
        self.applied = Applied()
        self._archive = archive
        self._limits = limits
        # Set at the end: what is made in a directory changes its time, and takes its group.
        self._directories: dict[bytes, tuple[float, int]] = {}
        self._ready = b"/"
        """The directory that was made last, and is still there."""
        self._owner = (os.geteuid(), os.getegid())
        """Who owns a new file, unless something says otherwise."""
        if Path("/").stat().st_mode & stat.S_ISGID:
            self._owner = (-1, -1)

    def run(self) -> None:
        for entry in self._archive:
            self._count(entry)
            self._apply(entry)
        for path, (modified, mode) in self._directories.items():
            self._finish_directory(path, modified, mode)

    def _count(self, entry: Entry) -> None:
        applied, limits = self.applied, self._limits
        applied.entries += 1
        applied.bytes += entry.size
        if applied.entries > limits.entries:
            raise Refused(f"it has more than {limits.entries} entries")
        if applied.bytes > limits.bytes:
            raise Refused(f"it unpacks to more than {limits.bytes} bytes, {limits.reason}")
        if len(entry.name) > limits.name:
            raise Refused(f"an entry's name is longer than {limits.name} bytes")

    def _apply(self, entry: Entry) -> None:
        path = inside(entry.name)
        folder, _, name = path.rpartition(b"/")
        if not name:
            if entry.kind == DIRECTORY:
                self._set_attributes(b"/", entry)
            return
        if entry.kind == DEVICE:
            self.applied.devices += 1
            return
        if folder != self._ready:
            self.applied.implied.update(make_directory(folder or b"/"))
            self._ready = folder
        if name.startswith(_WHITEOUT):
            white_out(folder, name)
        elif entry.kind == FILE:
            self._make_file(path, entry)
        elif entry.kind == LINK:
            self._link(inside(entry.link), path)
        else:
            self._make_other(path, entry)

    def _make_other(self, path: bytes, entry: Entry) -> None:
        if entry.kind == DIRECTORY:
            self.applied.implied.discard(path)
            self._make_room_for_directory(path)
        else:
            self._clear(path)
            if entry.kind == SYMLINK:
                os.symlink(entry.link, path)  # noqa: PTH211
            elif entry.kind == FIFO:
                os.mkfifo(path, 0o600)
        self._set_attributes(path, entry)

    def _make_file(self, path: bytes, entry: Entry) -> None:
        # O_EXCL and O_NOFOLLOW: an earlier symlink of this name is never written through.
        try:
            fd = os.open(path, _NEW, entry.mode & 0o777)
        except FileExistsError:
            self._clear(path)
            fd = os.open(path, _NEW, entry.mode & 0o777)
        try:
            if entry.extents is not None:
                self._write_extents(fd, entry)
            elif entry.size >= _HOLE:
                self._write(fd, entry.size)
            elif entry.size:
                write_all(fd, self._archive.take(entry.size))
            self._set_file_attributes(fd, entry)
        finally:
            os.close(fd)

    def _write(self, fd: int, size: int) -> None:
        ends_in_hole = False
        for piece in self._archive.pieces():
            ends_in_hole = len(piece) >= _HOLE and piece == _ZEROS[: len(piece)]
            if ends_in_hole:
                os.lseek(fd, len(piece), os.SEEK_CUR)
            else:
                write_all(fd, piece)
        if ends_in_hole:
            os.ftruncate(fd, size)

    def _write_extents(self, fd: int, entry: Entry) -> None:
        for offset, length in entry.extents or ():
            if offset + length > entry.size:
                raise Refused(f"{entry.name!r} has content behind its end")
            os.lseek(fd, offset, os.SEEK_SET)
            left = length
            while left:
                piece = self._archive.take(min(left, PIECE))
                write_all(fd, piece)
                left -= len(piece)
        os.ftruncate(fd, entry.size)

    def _set_file_attributes(self, fd: int, entry: Entry) -> None:
        owner = self._known_owner(entry)
        if owner != self._owner:
            os.fchown(fd, *owner)
        # After chown, which clears setuid, setgid and capabilities.
        if entry.mode & _SPECIAL:
            os.fchmod(fd, entry.mode & 0o7777)
        if entry.xattrs:
            set_xattrs(fd, entry.xattrs)
        os.utime(fd, (entry.mtime, entry.mtime))

    def _set_attributes(self, path: bytes, entry: Entry) -> None:
        """The attributes of what is no regular file."""
        os.chown(path, *self._known_owner(entry), follow_symlinks=False)
        if entry.kind == DIRECTORY:
            os.chmod(path, entry.mode & 0o777)  # noqa: PTH101 (bytes)
            self._directories[path] = (entry.mtime, entry.mode & 0o7777)
        elif entry.kind != SYMLINK:
            os.chmod(path, entry.mode & 0o7777)  # noqa: PTH101
        if entry.xattrs and entry.kind != SYMLINK:
            set_xattrs(path, entry.xattrs)
        if entry.kind != DIRECTORY:
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)

    def _known_owner(self, entry: Entry) -> tuple[int, int]:
        uid, gid = entry.uid, entry.gid
        if 0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID:
            return uid, gid
        self.applied.nobodies += 1
        return (uid if 0 <= uid <= MAX_ID else NOBODY), (gid if 0 <= gid <= MAX_ID else NOBODY)

    def _finish_directory(self, path: bytes, modified: float, mode: int) -> None:
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return
        except (FileNotFoundError, NotADirectoryError):
            return  # A later entry replaced it, or what it was in.
        if mode & _SPECIAL:
            os.chmod(path, mode)  # noqa: PTH101
        os.utime(path, (modified, modified))

    def _link(self, source: bytes, path: bytes) -> None:
        """A hard link, which may be to a symlink, and to nothing that was not in this layer."""
        try:
            kind = os.lstat(source).st_mode
        except FileNotFoundError:
            raise Refused(f"{path!r} is a link to {source!r}, which the layer lacks") from None
        if stat.S_ISDIR(kind) or stat.S_ISCHR(kind):
            raise Refused(f"{path!r} is a link to {source!r}, which is no file")
        if source == path:
            return
        self._clear(path)
        os.link(source, path, follow_symlinks=False)

    def _make_room_for_directory(self, path: bytes) -> None:
        """Keep a directory; make one in place of anything else, opaque over a whiteout."""
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except FileExistsError:
            present = os.lstat(path).st_mode
            if stat.S_ISDIR(present):
                return
            self._clear(path)
            os.mkdir(path, 0o700)  # noqa: PTH102
            if stat.S_ISCHR(present):
                os.setxattr(path, _OPAQUE_XATTR, b"y")

    def _clear(self, path: bytes) -> None:
        try:
            os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            return
        except IsADirectoryError:
            shutil.rmtree(path)
        self._ready = b""


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


def white_out(folder: bytes, name: bytes) -> None:
    """Hide what lower layers have; what this layer has at that name stays."""
    if name == _OPAQUE:
        os.setxattr(folder or b"/", _OPAQUE_XATTR, b"y")
        return
    if name.startswith(_AUFS):
        return
    hidden = name.removeprefix(_WHITEOUT)
    if hidden in (b"", b".", b".."):
        raise Refused(f"the whiteout {os.fsdecode(name)!r} hides nothing that has a name")
    path = folder + b"/" + hidden
    try:
        present = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        return
    if stat.S_ISDIR(present):
        os.setxattr(path, _OPAQUE_XATTR, b"y")


def make_directory(path: bytes) -> list[bytes]:
    """A directory that the archive has no entry for (yet), and those above it; what is new."""
    made: list[bytes] = []
    try:
        # Symlinks on the way are followed, within this root, as every engine does. One by
        # one: `makedirs` gives its mode to the last alone, and there is no umask here.
        if not os.path.isdir(path):  # noqa: PTH112 (bytes)
            made = make_directory(os.path.dirname(path))  # noqa: PTH120
            os.mkdir(path, 0o755)  # noqa: PTH102
            made.append(path)
    except (FileExistsError, NotADirectoryError):
        what = os.fsdecode(path)
        raise Refused(f"{what!r} is no directory, yet has entries below it") from None
    return made


def write_all(fd: int, data: bytes) -> None:
    """Write all of it: a disk that fills up takes a part first, then raises."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def set_xattrs(file: bytes | int, xattrs: dict[bytes, bytes]) -> None:
    """Set those that belong to the image."""
    for key, value in xattrs.items():
        if is_portable(os.fsdecode(key)):
            os.setxattr(file, key, value)


def is_portable(xattr: str) -> bool:
    """Whether an extended attribute belongs to the image.

    File capabilities and users' own do; labels, ACLs by the host's ids and overlay's marks
    are the host's business.
    """
    if xattr.startswith(_OVERLAY_XATTRS):
        return False
    return xattr == "security.capability" or xattr.startswith("user.")
