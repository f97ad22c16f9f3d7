"""Making the members of a layer's archive in the directory that is this process's root.

Runs in a child that has called chroot(2) and umask(0): whatever an archive says, nothing
outside of the layer is reached. Whiteouts become overlayfs's: a 0:0 character device, an opaque
xattr (https://github.com/opencontainers/image-spec, layer.md).
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from paas.engine.frames import PIECE, FrameReader
from paas.engine.members import Member, Refused
from paas.engine.tarstream import DIRECTORY, FILE, LINK, SYMLINK

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_WHITEOUT, _OPAQUE, _AUFS = WHITEOUT.encode(), OPAQUE.encode(), b".wh..wh."
_OPAQUE_XATTR = "trusted.overlay.opaque"
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")

_ZEROS = bytes(PIECE)
_HOLE = 64 << 10
"""Zeros that are worth a hole: a file that was sparse is so again."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX

Paths = set[bytes]


class Extraction:
    """The members of one archive on their way to the disk. The caller has called chroot(2).

    Raises `Refused`, `paas.engine.frames.Interrupted`, `OSError`.
    """

    def __init__(self, frames: FrameReader) -> None:
        self.implied: Paths = set()
        """Directories that are there for what is in them: they have no entry of their own."""
        self._frames = frames
        # Set at the end: what is made in a directory changes its time, and takes its group.
        self._directories: dict[bytes, tuple[float, int]] = {}
        self._ready = b""
        """The directory that was made last and is still there, the root being empty."""
        self._owner = (os.geteuid(), os.getegid())
        """Who owns a new file, unless something says otherwise."""
        if Path("/").stat().st_mode & stat.S_ISGID:
            self._owner = (-1, -1)

    def run(self) -> None:
        """Make all of them."""
        for member in self._frames:
            self._apply(member)
        for path, (modified, mode) in self._directories.items():
            self._finish_directory(path, modified, mode)

    def _apply(self, member: Member) -> None:
        folder, path = member.folder, member.path
        if folder != self._ready:
            self.implied.update(make_directory(folder or b"/"))
            self._ready = folder
        if path.startswith(_WHITEOUT, len(folder) + 1):
            white_out(folder, path[len(folder) + 1 :])
        elif member.kind == FILE:
            self._make_file(member)
        elif member.kind == LINK:
            self._link(member.link, path)
        elif path == b"/":
            self._set_attributes(member, fresh=False)
        else:
            self._make_other(member)

    def _make_other(self, member: Member) -> None:
        fresh = True
        if member.kind == DIRECTORY:
            self.implied.discard(member.path)
            fresh = self._make_room_for_directory(member.path)
        else:
            try:
                _make_node(member)
            except FileExistsError:
                self._clear(member.path)
                _make_node(member)
        self._set_attributes(member, fresh=fresh)

    def _make_file(self, member: Member) -> None:
        # O_EXCL and O_NOFOLLOW: an earlier symlink of this name is never written through.
        try:
            fd = os.open(member.path, _NEW, member.mode & 0o777)
        except FileExistsError:
            self._clear(member.path)
            fd = os.open(member.path, _NEW, member.mode & 0o777)
        try:
            if member.size:
                self._write(fd, member)
            self._set_file_attributes(fd, member)
        finally:
            os.close(fd)

    def _write(self, fd: int, member: Member) -> None:
        at, size = member.at, member.size
        if member.extents is not None:
            for offset, length in member.extents:
                os.lseek(fd, offset, os.SEEK_SET)
                for piece in self._frames.pieces(at, length):
                    write_all(fd, piece)
                at += length
            os.ftruncate(fd, size)
        elif size < _HOLE and (content := self._frames.content(at, size)) is not None:
            write_all(fd, content)
        else:
            self._write_around_holes(fd, at, size)

    def _write_around_holes(self, fd: int, at: int, size: int) -> None:
        ends_in_hole = False
        for piece in self._frames.pieces(at, size):
            empty = piece[0] == 0 and piece.tobytes() == _ZEROS[: len(piece)]
            ends_in_hole = empty and (ends_in_hole or len(piece) >= _HOLE)
            if ends_in_hole:
                os.lseek(fd, len(piece), os.SEEK_CUR)
            else:
                write_all(fd, piece)
        if ends_in_hole:
            os.ftruncate(fd, size)

    def _set_file_attributes(self, fd: int, member: Member) -> None:
        if (member.uid, member.gid) != self._owner:
            os.fchown(fd, member.uid, member.gid)
        # After chown, which clears setuid, setgid and capabilities.
        if member.mode & _SPECIAL:
            os.fchmod(fd, member.mode & 0o7777)
        if member.xattrs:
            set_xattrs(fd, member.xattrs)
        os.utime(fd, (member.mtime, member.mtime))

    def _set_attributes(self, member: Member, *, fresh: bool) -> None:
        """The attributes of what is no regular file, and may be `fresh`ly made."""
        kind, path, mode = member.kind, member.path, member.mode
        if not fresh or (member.uid, member.gid) != self._owner:
            os.chown(path, member.uid, member.gid, follow_symlinks=False)
        if kind == DIRECTORY:
            os.chmod(path, mode & 0o777)  # noqa: PTH101 (bytes)
            self._directories[path] = (member.mtime, mode & 0o7777)
        elif kind != SYMLINK:
            os.chmod(path, mode & 0o7777)  # noqa: PTH101
        if member.xattrs and kind != SYMLINK:
            set_xattrs(path, member.xattrs)
        if kind != DIRECTORY:
            os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)

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

    def _make_room_for_directory(self, path: bytes) -> bool:
        """Keep a directory; make one in place of anything else, opaque over a whiteout.

        Whether it is new.
        """
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except FileExistsError:
            present = os.lstat(path).st_mode
            if stat.S_ISDIR(present):
                return False
            self._clear(path)
            os.mkdir(path, 0o700)  # noqa: PTH102
            if stat.S_ISCHR(present):
                os.setxattr(path, _OPAQUE_XATTR, b"y")
        return True

    def _clear(self, path: bytes) -> None:
        try:
            os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            return
        except IsADirectoryError:
            shutil.rmtree(path)
        self._ready = b""


def _make_node(member: Member) -> None:
    if member.kind == SYMLINK:
        os.symlink(member.link, member.path)  # noqa: PTH211
    else:
        os.mkfifo(member.path, 0o600)


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


def write_all(fd: int, data: memoryview) -> None:
    """Write all of it: a disk that fills up takes a part first, then raises."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


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
