"""What a COPY can take from: the context, or the tree of an image or a stage.

Both answer the same three questions (what is here, what is below, give me the contents),
and neither lets a symbolic link lead out of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from paas.engine.build.context import CHUNK, Context
from paas.engine.build.errors import ContextError
from paas.host import syscalls

_INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
KEPT_XATTRS = ("security.capability", "user.")
MAX_LINKS = 40
_AT_ONCE = 1 << 30


@dataclass(frozen=True)
class Item:
    """One file, directory or link to copy; `mode` is a whole st_mode."""

    path: str
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    target: str | None = None
    inode: tuple[int, int] | None = None
    """Device and inode of a file that has several names."""
    size: int = 0
    """Bytes of a file's contents."""

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)


class Source(Protocol):
    """Paths have no leading slash; the root is the empty path."""

    def find(self, path: str) -> Item | None:
        """What is at `path`; no symbolic link on the way is followed."""

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted."""

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of a file to an open one."""

    def digest(self, item: Item) -> str:
        """A name of the contents of a file or link, equal for equal ones."""

    def xattrs(self, path: str) -> dict[str, bytes]:
        """The extended attributes that are part of an image."""

    def beyond(self, link: str) -> str:
        """Where a link that leads above the root goes. Raises for what must not."""


class ContextSource:
    """The build context: owned by root, every file of one time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._entries = context.entries()
        self._mtime = context.mtime

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._entries:
            parent, name = posixpath.split(path)
            found[parent].append(name)
        return found

    def find(self, path: str) -> Item | None:
        """The entry of `path`."""
        if not path:
            return Item("", stat.S_IFDIR | 0o755, mtime=self._mtime)
        entry = self._entries.get(path)
        if entry is None:
            return None
        mtime, size = self._mtime, entry.size
        return Item(path, entry.mode, mtime=mtime, target=entry.target, size=size)

    def names(self, path: str) -> list[str]:
        """Names in a directory."""
        return sorted(self._children.get(path, ()))

    def copy_to(self, path: str, descriptor: int) -> None:
        """Contents of a file."""
        self._context.copy_to(path, descriptor)

    def digest(self, item: Item) -> str:
        """The context's own digest."""
        return self._entries[item.path].digest if item.path else ""

    def xattrs(self, path: str) -> dict[str, bytes]:  # noqa: ARG002  a context has none
        """None: git keeps none, and a directory's are the host's business."""
        return {}

    def beyond(self, link: str) -> str:
        """Raises `ContextError`: nothing outside of the context is there to copy."""
        raise ContextError(
            f"the symbolic link {link} leads out of the build context",
            resolution="Commit the file itself, or make the link relative within the tree.",
        )


class TreeSource:
    """A mounted root filesystem, as a process with that root would see it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, path: str) -> Item | None:
        """What lstat says."""
        try:
            fd = self._open(path, os.O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(fd)
            linked = stat.S_ISLNK(status.st_mode)
            target = os.readlink("", dir_fd=fd) if linked else None
        finally:
            os.close(fd)
        many = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        inode = (status.st_dev, status.st_ino) if many else None
        return Item(
            path,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime,
            target,
            inode,
            status.st_size,
        )

    def names(self, path: str) -> list[str]:
        """Names in a directory."""
        fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in entries)
        finally:
            os.close(fd)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Contents of a file."""
        fd = self._open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            _copy(fd, descriptor)
        finally:
            os.close(fd)

    def digest(self, item: Item) -> str:
        """sha256 of the contents."""
        if item.target is not None:
            return item.target
        if not stat.S_ISREG(item.mode):
            return ""
        found = hashlib.sha256()
        fd = self._open(item.path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123  a descriptor
            while chunk := file.read(CHUNK):
                found.update(chunk)
        return found.hexdigest()

    def xattrs(self, path: str) -> dict[str, bytes]:
        """File capabilities and the users' own; others are the host's business."""
        fd = self._open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            names = [name for name in os.listxattr(fd) if name.startswith(KEPT_XATTRS)]
            return {name: os.getxattr(fd, name) for name in names}
        finally:
            os.close(fd)

    def beyond(self, link: str) -> str:  # noqa: ARG002
        """The root: `..` of the root is the root."""
        return ""

    def _open(self, path: str, flags: int) -> int:
        root = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return syscalls.openat2(root, path or ".", flags, resolve=_INSIDE)
        finally:
            os.close(root)


def _copy(source: int, target: int) -> None:
    """Within the kernel; where the file system can, sharing the blocks."""
    try:
        while os.copy_file_range(source, target, _AT_ONCE):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        while os.sendfile(target, source, None, _AT_ONCE):
            pass


def resolve(source: Source, path: str) -> str | None:
    """`path` with every symbolic link in it followed, None if it leads to nothing.

    Raises what `source.beyond` raises for a link that leads out.
    """
    done: list[str] = []
    pending = [part for part in path.split("/") if part]
    followed = 0
    while pending:
        part = pending.pop(0)
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = "/".join([*done, part])
        item = source.find(here)
        if item is None:
            return None
        if item.target is None:
            done.append(part)
            continue
        followed += 1
        if followed > MAX_LINKS:
            raise ContextError(f"too many symbolic links at {here}")
        _check_link(source, here, item.target, len(done))
        done = [] if item.target.startswith("/") else done
        pending = [*item.target.split("/"), *pending]
        pending = [word for word in pending if word]
    return "/".join(done)


def _check_link(source: Source, link: str, target: str, depth: int) -> None:
    """Ask the source about a link that is absolute or climbs above the root."""
    if target.startswith("/"):
        source.beyond(link)
        return
    with suppress(ValueError):
        for part in target.split("/"):
            depth += -1 if part == ".." else 0 if part in ("", ".") else 1
            if depth < 0:
                source.beyond(link)
                return
