"""`git:from-archive`: a tar or zip file as a commit of the app's repository.

What is in an archive is somebody's word: names that lead out, devices, and more than was
agreed on are refused before anything of it is a commit. Nothing is unpacked to a disk;
every file becomes a blob, written as the git user.
"""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BufferedReader
from typing import IO, cast

from paas.deploy.tree import MAX_FILE_BYTES, MAX_LINK, PushRefused

KINDS = ("tar", "tar.gz", "zip")
MAX_BYTES = 1 << 30
MAX_FILES = 10_000
"""Dokku's limits."""

UNIX = 3
"""The system that a member of a zip is from (APPNOTE.TXT, 4.4.2.2)."""
UTF_8 = 0x800
"""The flag of a name in UTF-8 (4.4.4, bit 11)."""

_DAMAGES = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    EOFError, LookupError, OSError, RuntimeError, ValueError,
)  # fmt: skip


class ArchiveRefused(PushRefused):
    """An archive that cannot be deployed as it is."""


@dataclass(frozen=True)
class Member:
    """A file (its contents) or a symbolic link (its target), by its path in the archive."""

    path: str
    mode: int
    data: bytes


def members(file: IO[bytes], kind: str) -> Iterator[Member]:
    """What is in an archive of one of `KINDS`, in its order. Raises `ArchiveRefused`."""
    total = 0
    try:
        for count, member in enumerate(_of_zip(file) if kind == "zip" else _of_tar(file), start=1):
            total += len(member.data)
            if count > MAX_FILES:
                raise ArchiveRefused(f"The archive has more than {MAX_FILES} files")
            if total > MAX_BYTES:
                raise ArchiveRefused(f"The archive unfolds to more than {MAX_BYTES >> 20} MiB")
            yield member
    except _DAMAGES as error:
        raise ArchiveRefused(
            f"This is no whole {kind} archive: {str(error)[:200]}",
            resolution=f"Say what it is: --archive-type {'|'.join(KINDS)}.",
        ) from error


def checked_path(name: str) -> str | None:
    """The path of a member; None for what git keeps no record of. Raises `ArchiveRefused`."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ArchiveRefused(f"The archive has a file named {name[:200]!r}, which leads out of it")
    if not parts or ".git" in (part.lower() for part in parts):
        return None
    return "/".join(parts)


def _of_tar(file: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for one in archive:
            path = checked_path(one.name)
            if path is None or one.isdir():
                continue
            if one.issym():
                yield _link(path, one.linkname.encode("utf-8", "surrogateescape"))
            elif one.isreg() or one.islnk():
                # A hard link leads to a member before it: tarfile finds that one's contents.
                yield _file(path, one.mode, archive.extractfile(one), one.size)
            else:
                raise ArchiveRefused(f"{path} in the archive is neither a file nor a link")
        _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """tarfile takes a cut between two members, or in a header, for the end, which two blocks of
    zeros are (POSIX.1-2017, pax, "ustar Interchange Format"). Many programs write or read one.
    """
    content = cast("IO[bytes]", archive.fileobj)
    content.seek(archive.offset)
    if content.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ArchiveRefused("The archive is cut off: it has no end")


def _of_zip(file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for one in archive.infolist():
            name = _name(one)
            path = checked_path(name)
            mode = one.external_attr >> 16
            if path is None or name.endswith("/"):
                continue
            with archive.open(one) as data:
                if stat.S_ISLNK(mode):
                    yield _link(path, data.read(MAX_LINK + 1))
                else:
                    yield _file(path, mode, data, one.file_size)


def _name(one: zipfile.ZipInfo) -> str:
    """The name of a member, undecodable bytes as surrogates.

    Without the flag, what `zip` and `git archive` write are the bytes of the file system, and
    others those of code page 437, in which zipfile reads them all (4.4.4, Appendix D). Some of
    Windows separate by backslashes.
    """
    name = one.filename
    if not one.flag_bits & UTF_8:
        text = os.fsdecode(name.encode("cp437"))
        if one.create_system == UNIX or text.isprintable():
            name = text
    return name if one.create_system == UNIX else name.replace("\\", "/")


def _file(path: str, mode: int, data: IO[bytes] | None, size: int) -> Member:
    if data is None or size > MAX_FILE_BYTES:
        raise ArchiveRefused(f"{path} in the archive is larger than {MAX_FILE_BYTES >> 20} MiB")
    with closing(data):
        content = data.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ArchiveRefused(f"{path} in the archive is larger than it says")
    return Member(path, stat.S_IFREG | (0o755 if mode & 0o100 else 0o644), content)


def _link(path: str, target: bytes) -> Member:
    if not 0 < len(target) <= MAX_LINK or b"\0" in target:
        raise ArchiveRefused(f"{path} in the archive is a link that leads nowhere a link can")
    return Member(path, stat.S_IFLNK, target)


def opened(descriptor: int) -> BufferedReader:
    """The archive in an open file, from its beginning; the descriptor stays the caller's."""
    file = open(descriptor, "rb", closefd=False)  # noqa: SIM115  a descriptor
    file.seek(0)
    return file
