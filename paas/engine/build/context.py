"""The tree that a build copies from.

Git's trees come through `paas.deploy.tree`; a directory on disk through
`DirectoryContext`. Digests are git's blob ids in both, so that a local build and a push
of the same files share the cache.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from paas.engine.build.errors import ContextError
from paas.host import syscalls
from paas.model.report import Report

CHUNK = 1024 * 1024
_INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


@dataclass(frozen=True)
class ContextEntry:
    """One path of a context; undecodable bytes in it are surrogates (os.fsdecode).

    `mode` is a whole st_mode; `digest` names the contents and is equal for equal ones;
    `target` is where a symbolic link leads.
    """

    path: str
    mode: int
    digest: str
    size: int
    target: str | None = None


class Context(Protocol):
    """What can be copied. Paths have no leading or trailing slash."""

    @property
    def mtime(self) -> int:
        """The modification time that copied files get, in seconds since the epoch."""

    def entries(self) -> Mapping[str, ContextEntry]:
        """Every path, directories included, a directory before what is in it."""

    def read(self, path: str) -> bytes:
        """The contents of a file, or the target of a link. Raises KeyError."""

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of a file to an open one."""


class Unseen(Protocol):
    """What of a directory a build does not see, by the path in it."""

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out."""

    def excludes_whole(self, directory: str) -> bool:
        """Whether `directory` is left out with all that can be below it."""


class DirectoryContext:
    """A directory on disk. Symbolic links are never followed.

    Sockets, fifos and devices are left out with a word about each. Read once: a file that
    is another one when it is copied is an error, as its digest would name what is not there.
    """

    def __init__(
        self, path: Path, report: Report, mtime: int | None = None, unseen: Unseen | None = None
    ) -> None:
        """`mtime` is given to every file; else it is the newest one's. What is `unseen` is
        neither read nor entered, nor is there a word about it."""
        self._path = path
        self._report = report
        self._mtime = mtime
        self._unseen = unseen

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        if self._mtime is not None:
            return self._mtime
        return max((int(status.st_mtime) for status in self._status.values()), default=0)

    def entries(self) -> Mapping[str, ContextEntry]:
        """Raises `ContextError` for a file or a directory that cannot be read."""
        return self._entries

    def read(self, path: str) -> bytes:
        """Contents of a file, target of a link."""
        entry = self._entries[path]
        if entry.target is not None:
            return os.fsencode(entry.target)
        with open(self._open(path), "rb") as file:  # noqa: PTH123  a descriptor
            return file.read()

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write a file's contents to an open one. Raises `ContextError` if it was changed."""
        source = self._open(path)
        try:
            while os.sendfile(descriptor, source, None, CHUNK):
                pass
            if _version(os.fstat(source)) != _version(self._status[path]):
                raise _changed(path)
        finally:
            os.close(source)

    def _open(self, path: str) -> int:
        root = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return syscalls.openat2(root, path, os.O_RDONLY | os.O_NOFOLLOW, resolve=_INSIDE)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(root)

    @cached_property
    def _status(self) -> dict[str, os.stat_result]:
        return dict(self._walk(os.fspath(self._path), ""))

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        return {path: self._entry(path, status) for path, status in self._status.items()}

    def _walk(self, directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            found = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError as error:
            raise _unreadable(prefix or ".", error) from error
        for entry in found:
            path = prefix + entry.name
            if self._is_unseen(path, entry):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                raise _unreadable(path, error) from error
            if stat.S_ISDIR(status.st_mode):
                yield path, status
                yield from self._walk(entry.path, path + "/")
            elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status
            else:
                kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
                self._report.warn(f"{path} is a {kind}: left out of the build")

    def _is_unseen(self, path: str, entry: os.DirEntry[str]) -> bool:
        if self._unseen is None:
            return False
        if entry.is_dir(follow_symlinks=False):
            return self._unseen.excludes_whole(path)
        return self._unseen.excludes(path)

    def _entry(self, path: str, status: os.stat_result) -> ContextEntry:
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            return ContextEntry(path, mode, "", 0)
        if stat.S_ISLNK(mode):
            target = os.fspath((self._path / path).readlink())
            return ContextEntry(path, mode, blob_id(os.fsencode(target)), len(target), target)
        return ContextEntry(path, mode, self._digest(path, status.st_size), status.st_size)

    def _digest(self, path: str, size: int) -> str:
        found = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with open(self._open(path), "rb") as file:  # noqa: PTH123  a descriptor
            try:
                while chunk := file.read(CHUNK):
                    found.update(chunk)
            except OSError as error:
                raise _unreadable(path, error) from error
        return found.hexdigest()


def _version(status: os.stat_result) -> tuple[int, int, int]:
    """What is another one when a file was written to or replaced."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: str) -> ContextError:
    return ContextError(
        f"{path} in the build context was changed during the build",
        resolution="Build again when nothing writes to it any more.",
    )


def _unreadable(path: str, error: OSError) -> ContextError:
    if error.errno == errno.ENOENT:
        return _changed(path)
    return ContextError(
        f"{path} in the build context cannot be read: {os.strerror(error.errno or 0)}",
        resolution="Make it readable, or name it in .dockerignore.",
    )


_KINDS = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def blob_id(data: bytes) -> str:
    """git's id of a blob (gitformat-pack, object names)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
