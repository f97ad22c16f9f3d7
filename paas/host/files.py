"""Files and locks: atomic writes, safe removal of hostile trees, flock."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from paas.host import syscalls

MAX_DEPTH = 64
"""Levels that a walk through a tree of whatever depth keeps a descriptor open for."""

_UNFINISHED = re.compile(r"\..+\.([0-9]+)\.[0-9a-f]{8}")
"""How `write_atomic` calls a file that is not whole yet, and whose it is."""

SAME_MOUNT = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS


def write_atomic(
    path: Path,
    data: str | bytes,
    mode: int = 0o600,
    *,
    prepare: Callable[[int], object] = lambda _: None,
) -> None:
    """Replace `path` by a file of `data`: a reader sees the old or the new one, whole.

    On disk before it returns. The directory must exist. `prepare` is given its descriptor.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(beside, flags, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)  # not narrowed by the umask
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            prepare(fd)
            os.fsync(fd)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def as_far_as_fits() -> Iterator[None]:
    """What is written in here does without room on the disk: it is for people to read, and must
    not keep from what it tells of, least of all from what frees some.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def forget_unfinished(*directories: Path) -> None:
    """Remove what processes that were killed in `write_atomic` left in some directories."""
    for directory in directories:
        for path in directory.iterdir() if directory.is_dir() else ():
            found = _UNFINISHED.fullmatch(path.name)
            if found is not None and not Path(f"/proc/{found[1]}").exists():
                path.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Put the names in a directory on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: Path) -> None:
    """Put everything written to the file system of `path` on disk (syncfs)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def make_directory(
    path: Path,
    *,
    uid: int,
    gid: int,
    mode: int,
    prepare: Callable[[Path], object] = lambda _: None,
) -> bool:
    """Make a directory that is whole when it has its name; says whether it is new.

    `prepare` is given it before that. One that is there stays as it is, whoever made it
    meanwhile. On disk before it returns.
    Raises `OSError` when there is none afterwards. Who is killed leaves `.NAME.HEX.PID`.
    """
    if path.is_dir():
        return False
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.{os.getpid()}")
    beside.mkdir(mode=0o700)
    try:
        os.chown(beside, uid, gid)
        beside.chmod(mode)
        prepare(beside)
        # rename(2) would replace an empty one, which its maker is about to fill.
        syscalls.renameat2(beside, path, syscalls.RENAME_NOREPLACE)
    except BaseException as error:
        beside.rmdir()
        if not (isinstance(error, OSError) and path.is_dir()):
            raise
        return False
    sync_directory(path.parent)
    return True


def remove_tree(path: Path) -> None:
    """Remove a file or a directory and all below it; nothing there is no error.

    Never follows a symlink and never enters another mount, bind mounts included:
    raises `OSError` (EXDEV or EBUSY) instead. The tree may be a container's: deeper than
    the stack or the descriptors of this process reach.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_entry(parent, path.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(parent)


def remove_entry(parent: int, name: str) -> None:
    """As `remove_tree`, of an entry of an open directory."""
    with suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            top = open_directory(parent, name)
            try:
                _empty(top)
            finally:
                os.close(top)
            os.rmdir(name, dir_fd=parent)


def _empty(top: int) -> None:
    """Empty a directory; what is too deep is moved up to it and met again."""
    moved = 0
    while names := _names(top):
        for name in names:
            moved = _remove_below(top, top, name, 1, moved)


def _remove_below(top: int, parent: int, name: str, depth: int, moved: int) -> int:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return moved
    except IsADirectoryError:
        return _remove_directory(top, parent, name, depth, moved)
    return moved


def _remove_directory(top: int, parent: int, name: str, depth: int, moved: int) -> int:
    if depth > MAX_DEPTH:
        os.rename(name, f".paas-moved-{os.getpid()}-{moved}", src_dir_fd=parent, dst_dir_fd=top)
        return moved + 1
    child = open_directory(parent, name)
    try:
        for inner in _names(child):
            moved = _remove_below(top, child, inner, depth + 1, moved)
    finally:
        os.close(child)
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)
    return moved


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def open_directory(parent: int, name: str) -> int:
    """A descriptor of a directory of the same mount, through no link. Raises `OSError`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    return syscalls.openat2(parent, name, flags, resolve=SAME_MOUNT)


class FileLock:
    """An flock on a file that is never unlinked; the kernel drops it with its holder.

    The descriptor is close-on-exec, but a *forked* child shares the lock: a holder's
    children call `release_after_fork` first. The file tells who holds it.
    """

    def __init__(self, path: Path, holder: str = "", *, shared: bool = False) -> None:
        """`holder` is one line for people: what is done, by whom, since when."""
        self.path = path
        self._holder = holder
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock, waiting for it."""
        self._take(self._kind)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; says whether it was."""
        try:
            self._take(self._kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is None:
            return
        if self._kind == fcntl.LOCK_EX:
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = None

    def release_after_fork(self) -> None:
        """In a child: let go of the copied descriptor; the parent keeps the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holder(self) -> str:
        """What the present holder wrote, or nothing."""
        try:
            return self.path.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _take(self, operation: int) -> None:
        if self._fd is not None:
            raise OSError(errno.EDEADLK, "this lock is already held by its object", str(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, operation)
            if self._kind == fcntl.LOCK_EX:
                os.ftruncate(fd, 0)
                with as_far_as_fits():
                    os.write(fd, f"{self._holder or os.getpid()}\n".encode())
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
