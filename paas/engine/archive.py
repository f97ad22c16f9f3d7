"""Files as a tar stream, written and read by a process whose root is all it can reach.

For `cp`: names, modes, times, links, owners. Looks up no user by name: that would load
libraries of the root it is in (CVE-2019-14271). Source: tar(5), the pax format.
"""

# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH114, PTH115, PTH118, PTH119, PTH120, PTH123, PTH211

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

CHUNK = 1 << 18
XATTRS = ("security.capability",)
_XATTR = "SCHILY.xattr."
TAR_ERROR = tarfile.TarError


class Refused(Exception):
    """The archive, or the path, asks for what cannot be."""


def pack(path: str, target: IO[bytes]) -> None:
    """Write `path` and all below as a tar; its names begin with the last part of it.

    A path that ends in `/.` gives the content of a directory. Raises `Refused` for none.
    """
    name = "." if path.endswith("/.") or path == "/" else os.path.basename(path.rstrip("/"))
    if not os.path.lexists(path):
        raise Refused(f"there is no {path}")
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(
        fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK
    ) as archive:
        for where, inner in _walk(path, name):
            # Removed while it is read: a running container's files come and go.
            with suppress(FileNotFoundError):
                _add(archive, where, inner, links)


def unpack(source: IO[bytes], path: str, *, keep_owner: bool) -> None:
    """Make the files of a tar at `path`: below it if it is a directory, else under its name.

    Without `keep_owner` all belongs to root, and gives nobody what root or a group may do: the
    bits of who was its owner are another's. Raises `Refused`.
    """
    folder, renamed = _place(path)
    times: dict[str, float] = {}
    names: _Names | None = None
    with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK) as archive:
        for member in archive:
            names = names or _Names(folder, renamed, top_is_bare=_inside(member.name) == ".")
            _make(archive, member, names)
            _dress(member, names.place(member.name), times, keep_owner=keep_owner)
            archive.members = []  # type: ignore[attr-defined]
    while source.read(CHUNK):
        pass
    for where, modified in reversed(times.items()):
        os.utime(where, (modified, modified))


def _place(path: str) -> tuple[str, str | None]:
    """The directory that is written to, and what the top of the archive is called there."""
    if os.path.isdir(path):
        return path, None
    folder = os.path.dirname(path.rstrip("/")) or "/"
    if path.endswith("/") or not os.path.isdir(folder):
        raise Refused(f"there is no directory {path if path.endswith('/') else folder}")
    return folder, os.path.basename(path)


def _walk(path: str, name: str) -> Iterator[tuple[str, str]]:
    pending = [(path, name)]
    while pending:
        where, inner = pending.pop()
        yield where, inner
        with suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISDIR(os.lstat(where).st_mode):
                with os.scandir(where) as entries:
                    names = sorted((entry.name for entry in entries), reverse=True)
                pending += [(f"{where}/{one}", f"{inner}/{one}") for one in names]


def _add(
    archive: tarfile.TarFile, where: str, name: str, links: dict[tuple[int, int], str]
) -> None:
    status = os.lstat(where)
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = stat.S_IMODE(status.st_mode), status.st_mtime
    entry.uid, entry.gid = status.st_uid, status.st_gid
    key = (status.st_dev, status.st_ino)
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(where)
    elif stat.S_ISFIFO(status.st_mode):
        entry.type = tarfile.FIFOTYPE
    elif not stat.S_ISREG(status.st_mode):
        return  # A socket or a device means nothing elsewhere.
    elif key in links:
        entry.type, entry.linkname = tarfile.LNKTYPE, links[key]
    else:
        if status.st_nlink > 1:
            links[key] = name
        _add_file(archive, where, entry)
        return
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, where: str, entry: tarfile.TarInfo) -> None:
    # What is a file by now: a fifo put in its place would never open.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(where, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return
        for name in XATTRS:
            with suppress(OSError):
                value = os.getxattr(file.fileno(), name)
                text = value.decode("utf-8", "surrogateescape")
                entry.pax_headers = {**entry.pax_headers, _XATTR + name: text}
        entry.size = status.st_size
        archive.addfile(entry, _Exactly(file, status.st_size))  # type: ignore[arg-type]


class _Exactly:
    """A file that may be written to meanwhile, read as if it kept its size."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        data = self._file.read(wanted)
        self._left -= wanted
        return data + bytes(wanted - len(data))


class _Names:
    """Where the names of an archive are here: below a directory, the top perhaps renamed.

    `top_is_bare` says that the top is `.`: what is in it has no part that is the top's.
    """

    def __init__(self, folder: str, renamed: str | None, *, top_is_bare: bool) -> None:
        self._base = folder if renamed is None else os.path.join(folder, renamed)
        self._drops_top = renamed is not None and not top_is_bare

    def place(self, name: str) -> str:
        inner = _inside(name)
        if self._drops_top:
            inner = "/".join(inner.split("/")[1:])
        return os.path.normpath(os.path.join(self._base, inner))


def _inside(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"the archive leads out of its directory: {name}")
    return "/".join(["", *parts]).lstrip("/") or "."


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, names: _Names) -> None:
    where = names.place(member.name)
    if member.isdir():
        if not os.path.isdir(where):
            os.mkdir(where, 0o700)
        return
    if not (member.isreg() or member.issym() or member.islnk() or member.isfifo()):
        return
    if os.path.lexists(where):
        if os.path.isdir(where) and not os.path.islink(where):
            raise Refused(f"{where} is a directory, and no file takes its place")
        os.unlink(where)
    if member.issym():
        os.symlink(member.linkname, where)
    elif member.islnk():
        os.link(names.place(member.linkname), where, follow_symlinks=False)
    elif member.isfifo():
        os.mkfifo(where, 0o600)
    else:
        _write(archive, member, where)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> None:
    content = archive.extractfile(member)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(where, flags, 0o600), "wb") as file:
        while content is not None and (data := content.read(CHUNK)):
            file.write(data)


def _dress(
    member: tarfile.TarInfo, where: str, times: dict[str, float], *, keep_owner: bool
) -> None:
    """Owner first: chown(2) takes setuid bits and capabilities away."""
    if not os.path.lexists(where) or member.islnk():
        return
    ids = (member.uid, member.gid) if keep_owner else (0, 0)
    os.chown(where, *ids, follow_symlinks=False)
    if member.issym():
        return
    mode = stat.S_IMODE(member.mode)
    os.chmod(where, mode if keep_owner else mode & ~(stat.S_ISUID | stat.S_ISGID))
    for name in XATTRS if keep_owner else ():
        value = member.pax_headers.get(_XATTR + name)
        if value is not None:
            os.setxattr(where, name, value.encode("utf-8", "surrogateescape"))
    if member.isdir():
        times[where] = member.mtime
    else:
        os.utime(where, (member.mtime, member.mtime))
