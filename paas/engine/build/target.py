"""Writing into a mounted root filesystem without ever leaving it.

The image decides what its symbolic links are: every path is resolved by the kernel as
if the tree were the root (openat2(2), RESOLVE_IN_ROOT), and what is written is made anew
(O_EXCL, O_NOFOLLOW), never written through.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.errors import BuildError
from paas.engine.build.modes import Mode
from paas.engine.build.sources import Item, Source
from paas.host import syscalls
from paas.host.disk import Disk

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
NEW_DIRECTORY = 0o755
"""Permission bits of what is made on the way to a destination."""

LOOK_BYTES = 1 << 20
"""Between two looks at the disk: far less than is kept free of it."""
BLOCK = 4096
"""What the smallest file takes."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CannotCopy(BuildError):
    """What is at the destination is in the way."""


@dataclass(frozen=True)
class Attributes:
    """What copied things get instead of their own; None keeps the source's."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None

    def owner_of(self, item: Item) -> tuple[int, int]:
        """User and group of a copied item."""
        return self.owner or (item.uid, item.gid)

    def mode_of(self, item: Item) -> int:
        """Permission bits of a copied item."""
        return stat.S_IMODE(item.mode) if self.mode is None else self.mode.of(item.mode)


class Target:
    """A tree to write into."""

    def __init__(
        self, root: Path, attributes: Attributes | None = None, disk: Disk | None = None
    ) -> None:
        """`root` is a real path; `attributes` are those of everything that is made; `disk`
        is asked for room.
        """
        self._root = root
        self._disk = disk or Disk(root)
        self._put = LOOK_BYTES
        """How much since the disk was last asked for room."""
        self._attributes = attributes or Attributes()
        self._links: dict[tuple[int, int], tuple[str, str]] = {}
        self._times: list[tuple[str, float]] = []

    def as_it_is(self) -> Target:
        """The same tree, for what keeps its own attributes."""
        return Target(self._root, disk=self._disk)

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory, through links."""
        try:
            os.close(self._open(path, os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it: 0755, and root's unless told otherwise."""
        with self._directory(path):
            pass

    def put(self, source: Source, item: Item, path: str) -> None:
        """Make `path` (not a directory) a copy of a file, link, fifo or device.

        A link at `path` itself is replaced. Raises `CannotCopy` over a directory, `DiskFull`.
        """
        parent, name = split(path)
        with self._directory(parent) as directory:
            self._make_room(directory, name, path)
            if item.target is not None:
                os.symlink(item.target, name, dir_fd=directory)
            elif stat.S_ISREG(item.mode):
                self._put_file(source, item, directory, name, path)
                return
            elif stat.S_ISFIFO(item.mode):
                os.mkfifo(name, 0o600, dir_fd=directory)
            else:
                raise CannotCopy(f"/{item.path} is a device or a socket and cannot be copied")
            self._set(directory, name, item)

    def put_bytes(self, data: bytes, path: str, mtime: float) -> None:
        """Make `path` a file of `data`, 0644 unless told otherwise."""
        item = Item(path, stat.S_IFREG | 0o644, mtime=mtime)
        parent, name = split(path)
        with self._directory(parent) as directory:
            self._make_room(directory, name, path)
            fd = os.open(name, _NEW, 0o600, dir_fd=directory)
            with open(fd, "wb") as file:  # noqa: PTH123  a descriptor
                file.write(data)
            self._set(directory, name, item)

    def put_directory(self, item: Item, path: str) -> bool:
        """Make `path` a directory with the item's attributes, or give them to it.

        Returns whether it is new. Raises `CannotCopy` over anything else.
        """
        parent, name = split(path)
        with self._directory(parent) as directory:
            new = self._make_directory(directory, name, path)
            self._set(directory, name, item)
        self._times.append((path, item.mtime))
        return new

    def real(self, path: str) -> str:
        """`path` with all links followed, one that leads to nothing too: what is to be made."""
        try:
            fd = self._open(path, os.O_PATH)
        except FileNotFoundError:
            link = self._link_at(path)
            return path if link is None else self.real(link)
        except NotADirectoryError:
            return path
        try:
            found = Path(f"/proc/self/fd/{fd}").readlink()
        finally:
            os.close(fd)
        return "/" + os.fspath(found.relative_to(self._root)).removeprefix(".")

    def forget_links(self) -> None:
        """What is put from now on is no other name of a file that was put before.

        Within one source hard links stay; two sources are two copies, as in BuildKit.
        """
        self._links.clear()

    def finish(self) -> None:
        """Give directories their times, which what was made in them has changed."""
        for path, mtime in reversed(self._times):
            parent, name = posixpath.split(path)
            with self._directory(parent) as directory:
                os.utime(name, (mtime, mtime), dir_fd=directory, follow_symlinks=False)
        self._times.clear()

    def _put_file(self, source: Source, item: Item, directory: int, name: str, path: str) -> None:
        if item.inode is not None and self._link(item.inode, directory, name):
            return
        self._admit(path, item.size)
        fd = os.open(name, _NEW, 0o600, dir_fd=directory)
        try:
            source.copy_to(item.path, fd)
            os.fchown(fd, *self._attributes.owner_of(item))
            # After chown, which clears setuid, setgid and capabilities.
            os.fchmod(fd, self._attributes.mode_of(item))
            for key, value in source.xattrs(item.path).items():
                os.setxattr(fd, key, value)
            os.utime(fd, (item.mtime, item.mtime))
        finally:
            os.close(fd)
        if item.inode is not None:
            self._links[item.inode] = posixpath.split(path)

    def _admit(self, path: str, size: int) -> None:
        self._put += size + BLOCK
        # Asked for each of many small files, it would take a tenth of the time.
        if self._put >= LOOK_BYTES:
            self._disk.admit(path, size)
            self._put = 0

    def _link(self, inode: tuple[int, int], directory: int, name: str) -> bool:
        """Make a second name of a file that was copied under another one already."""
        if inode not in self._links:
            return False
        parent, first = self._links[inode]
        with self._directory(parent) as other:
            os.link(first, name, src_dir_fd=other, dst_dir_fd=directory, follow_symlinks=False)
        return True

    def _set(self, directory: int, name: str, item: Item) -> None:
        uid, gid = self._attributes.owner_of(item)
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
        if item.target is None:
            os.chmod(name, self._attributes.mode_of(item), dir_fd=directory)
        if not item.is_dir:
            os.utime(name, (item.mtime, item.mtime), dir_fd=directory, follow_symlinks=False)

    def _make_room(self, directory: int, name: str, path: str) -> None:
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise CannotCopy(f"cannot replace to directory {path} with file") from None

    def _make_directory(self, directory: int, name: str, path: str) -> bool:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                raise CannotCopy(f"cannot copy to non-directory: {path}") from None
            return False
        return True

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        """A descriptor of a directory, made with those above it if need be."""
        fd = self._ensure(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _ensure(self, path: str) -> int:
        try:
            return self._open(path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise CannotCopy(f"cannot copy to non-directory: {path}") from None
        parent, name = split(path.rstrip("/"))
        with self._directory(parent) as above:
            try:
                os.mkdir(name, 0o755, dir_fd=above)
            except FileExistsError:
                # A link that leads to nothing: what it leads to is made.
                link = self._link_at(path)
                if link is None:
                    raise CannotCopy(f"cannot copy to non-directory: {path}") from None
                return self._ensure(link)
            uid, gid = self._attributes.owner or (0, 0)
            os.chown(name, uid, gid, dir_fd=above, follow_symlinks=False)
            # Not narrowed by the umask, and not what --chmod says (as in BuildKit).
            os.chmod(name, NEW_DIRECTORY, dir_fd=above)
        return self._open(path, os.O_PATH | os.O_DIRECTORY)

    def _link_at(self, path: str) -> str | None:
        """Where the symbolic link at `path` leads, None if there is none. It may lead on:
        the kernel has refused circles before anybody asks."""
        parent, name = posixpath.split(path.rstrip("/"))
        try:
            above = self._open(parent, os.O_PATH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return posixpath.join(parent, os.readlink(name, dir_fd=above))
        except OSError:
            return None
        finally:
            os.close(above)

    def _open(self, path: str, flags: int) -> int:
        root = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return syscalls.openat2(root, path.strip("/") or ".", flags, resolve=_IN_ROOT)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise CannotCopy(f"too many symbolic links at {path}") from None
            raise
        finally:
            os.close(root)


def split(path: str) -> tuple[str, str]:
    """The directory of `path` and the name in it. Raises `CannotCopy` when that is none.

    What is done to a name is done relative to its directory's descriptor, and `..` there
    is the directory above the tree.
    """
    parent, name = posixpath.split(path)
    if name in ("", ".", ".."):
        raise CannotCopy(f"{path} is no path of a file")
    return parent, name
