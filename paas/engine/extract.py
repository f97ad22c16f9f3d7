"""Applying a layer's tar archive to the directory that is this process's root.

Runs in a child that has called chroot(2): whatever an archive says, nothing outside of the
layer is reached. Semantics are those of https://github.com/opencontainers/image-spec,
layer.md; whiteouts become overlayfs's (a 0:0 character device, an opaque xattr).
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
_OPAQUE_XATTR = "trusted.overlay.opaque"
_XATTR = "SCHILY.xattr."
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")

MAX_ID = 65535
NOBODY = 65534
_CHUNK = 1 << 20


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
    directories: dict[str, float] = field(default_factory=dict)
    """Their modification times, set at the end: files made in them change these."""


def apply_archive(stream: IO[bytes], limits: Limits) -> Applied:
    """Make the files of a tar `stream` below /. The caller has called chroot(2).

    Raises `Refused`, `tarfile.TarError` for what is no tar, `OSError`.
    """
    applied = Applied()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
        for member in archive:
            _count(applied, member, limits)
            _apply(archive, member, applied)
            # tarfile remembers every member; a stream never asks for them again.
            archive.members = []  # type: ignore[attr-defined]
    while stream.read(_CHUNK):
        pass  # Padding after the end is part of the digest, and the writer waits for it.
    for path, modified in applied.directories.items():
        os.utime(path, (modified, modified))
    return applied


def _count(applied: Applied, member: tarfile.TarInfo, limits: Limits) -> None:
    applied.entries += 1
    applied.bytes += member.size
    if applied.entries > limits.entries:
        raise Refused(f"it has more than {limits.entries} entries")
    if applied.bytes > limits.bytes:
        raise Refused(f"it unpacks to more than {limits.bytes} bytes, {limits.reason}")
    if len(os.fsencode(member.name)) > limits.name:
        raise Refused(f"an entry's name is longer than {limits.name} bytes")


def _apply(archive: tarfile.TarFile, member: tarfile.TarInfo, applied: Applied) -> None:
    path = inside(member.name)
    folder, name = os.path.split(path)
    if path == "/":
        if member.isdir():
            _set_attributes(path, member, applied)
        return
    if name.startswith(WHITEOUT):
        _make_directory(folder)
        _white_out(folder, name)
        return
    if member.ischr() or member.isblk():
        applied.devices += 1
        return
    _make_directory(folder)
    _make(archive, member, path)
    if not member.islnk():
        _set_attributes(path, member, applied)


def inside(name: str) -> str:
    """The path of an entry below the root. Raises `Refused` for a climbing one."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"the entry {name!r} climbs out of the layer")
    if any("\0" in part for part in parts):
        raise Refused("an entry's name has a zero byte")
    return "/" + "/".join(parts)


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.isdir():
        _make_room_for_directory(path)
        return
    if member.islnk():
        _link(inside(member.linkname), path)
        return
    _clear(path)
    if member.issym():
        Path(path).symlink_to(member.linkname)
    elif member.isfifo():
        os.mkfifo(path, 0o600)
    elif member.isreg():
        _write(archive, member, path)
    else:
        raise Refused(f"the entry {member.name!r} has the unknown type {member.type!r}")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise Refused(f"the entry {member.name!r} has no content")
    # O_EXCL and O_NOFOLLOW: an earlier symlink of this name is never written through.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)


def _link(source: str, path: str) -> None:
    """A hard link, which may be to a symlink, and to nothing that was not in this layer."""
    try:
        kind = os.lstat(source).st_mode
    except FileNotFoundError:
        raise Refused(f"{path!r} is a link to {source!r}, which the layer lacks") from None
    if stat.S_ISDIR(kind) or stat.S_ISCHR(kind):
        raise Refused(f"{path!r} is a link to {source!r}, which is no file")
    if source == path:
        return
    _clear(path)
    os.link(source, path, follow_symlinks=False)


def _white_out(folder: str, name: str) -> None:
    """Hide what lower layers have; what this layer has at that name stays."""
    if name == OPAQUE:
        os.setxattr(folder, _OPAQUE_XATTR, b"y")
        return
    if name.startswith(_AUFS):
        return
    hidden = name.removeprefix(WHITEOUT)
    if hidden in ("", ".", ".."):
        raise Refused(f"the whiteout {name!r} hides nothing that has a name")
    path = f"{folder.rstrip('/')}/{hidden}"
    try:
        present = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        return
    if stat.S_ISDIR(present):
        os.setxattr(path, _OPAQUE_XATTR, b"y")


def _make_directory(path: str) -> None:
    """A directory that the archive has no entry for (yet), and those above it."""
    try:
        # Symlinks on the way are followed, within this root, as every engine does.
        Path(path).mkdir(0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Refused(f"{path!r} is no directory, yet has entries below it") from None


def _make_room_for_directory(path: str) -> None:
    """Keep a directory; make one in place of anything else, opaque over a whiteout."""
    try:
        present = os.lstat(path)
    except FileNotFoundError:
        Path(path).mkdir(0o700)
        return
    if stat.S_ISDIR(present.st_mode):
        return
    Path(path).unlink()
    Path(path).mkdir(0o700)
    if stat.S_ISCHR(present.st_mode):
        os.setxattr(path, _OPAQUE_XATTR, b"y")


def _clear(path: str) -> None:
    try:
        Path(path).unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path)


def _set_attributes(path: str, member: tarfile.TarInfo, applied: Applied) -> None:
    uid, gid = _known_id(member.uid), _known_id(member.gid)
    applied.nobodies += (uid, gid) != (member.uid, member.gid)
    os.chown(path, uid, gid, follow_symlinks=False)
    if member.issym():
        os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
        return
    # After chown, which clears setuid, setgid and capabilities.
    Path(path).chmod(member.mode & 0o7777)
    for key, value in member.pax_headers.items():
        name = key.removeprefix(_XATTR)
        if name != key and is_portable(name):
            os.setxattr(path, name, value.encode("utf-8", "surrogateescape"))
    if member.isdir():
        applied.directories[path] = member.mtime
    else:
        os.utime(path, (member.mtime, member.mtime))


def is_portable(xattr: str) -> bool:
    """Whether an extended attribute belongs to the image.

    File capabilities and users' own do; labels, ACLs by the host's ids and overlay's marks
    are the host's business.
    """
    if xattr.startswith(_OVERLAY_XATTRS):
        return False
    return xattr == "security.capability" or xattr.startswith("user.")


def _known_id(number: int) -> int:
    return number if 0 <= number <= MAX_ID else NOBODY
