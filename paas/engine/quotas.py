"""Bounds for directories, by project quotas of the kernel (`paas.host.projects`).

A project is nothing but a number on a file system, and nobody keeps a list of those in use: the
kernel's count of inodes does. The number of a directory is one without any inode, chosen, given
to it and bounded while nobody else on that file system does so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.errors import PaasError
from paas.host import kernel, mounts, projects, syscalls
from paas.host.files import SAME_MOUNT
from paas.host.mounts import Mounted
from paas.host.projects import Support, Usage
from paas.host.walk import Walk

FIRST, LAST = 0x7061_0000, 0x7061_FFFF
"""Out of the way of numbers that people give (/etc/projid) and other engines count up from 1."""

MARK = "trusted.paas.project"
"""On a directory, all below which has its project: an attribute that no container can set."""

INODE_BYTES = 4096
"""A file with anything in it takes a block: no more files than that, empty ones neither."""

TRIES = 10

AGAIN = (
    "mount it with the option prjquota in /etc/fstab (the root file system: with the kernel "
    "parameter rootflags=prjquota)"
)


class NoQuotas(PaasError):
    """The file system has no project quotas that would bound anything."""


class QuotaTooSmall(PaasError):
    """A directory has more than its bound is to be."""

    def __init__(self, used: int, size: int) -> None:
        super().__init__(
            f"The volume has {used:,} bytes already, more than {size:,}",
            resolution="Remove files of it first, or give it a larger quota.",
        )


class Unsteady(PaasError):
    """The directories in a directory are moved about all the time."""


class Quotas:
    """Bounds of the directories in `place`, which need not be there yet."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def require(self) -> None:
        """Raises `NoQuotas` where nothing can be bounded, with what it takes."""
        with _opened(self._ground()) as ground:
            found = projects.support(ground)
            if found is not Support.ENFORCED:
                raise _lacking(self._place, found)
            if projects.inherited(ground):
                raise NoQuotas(
                    f"{self._place} counts for a project quota that somebody else gave it",
                    resolution="Take that away first: chattr -p 0 -P, or xfs_quota(8).",
                )

    def set(self, directory: Path, size: int | None) -> None:
        """Bound a directory to `size` bytes, with all that it has and gets; None lifts that.

        What is done already is not done again. Raises `NoQuotas`, `QuotaTooSmall`.
        """
        if size is None:
            self._lift(directory)
            return
        self.require()
        with _opened(directory) as top:
            project = self._project(top)
            if not _is_whole(top, project):
                _assign_all(top, project)
                os.setxattr(top, MARK, str(project).encode())
            known = projects.usage(top, project)
            if known.bytes > size:
                raise QuotaTooSmall(known.bytes, size)
            if known.limit != _rounded(size):
                projects.limit(top, project, size, size // INODE_BYTES)

    def usage(self, directory: Path) -> Usage | None:
        """The kernel's count of a directory, and its bound; None where nobody counts it."""
        try:
            with _opened(directory) as top:
                project = projects.of(top)
                if not _is_ours(project) or not _is_whole(top, project):
                    return None
                known = projects.usage(top, project)
        except FileNotFoundError:
            return None
        # The count is off, as on a file system that is mounted without: it has at least itself.
        return known if known.inodes else None

    def imitate(self, directory: Path, new: Path) -> None:
        """Bound a new directory, that is to take the place of another one, like that."""
        known = self.usage(directory)
        if known is not None and known.limit:
            self.set(new, known.limit)

    def remove(self, directory: Path, delete: Callable[[Path], object]) -> None:
        """Have a directory deleted, and its project free."""
        project = self._of(directory)
        delete(directory)
        if _is_ours(project):
            self._free(project)

    def sweep(self) -> None:
        """Lift the bounds of projects whose files are gone: of who was killed while deleting."""
        with _opened(self._ground()) as ground:
            project = FIRST
            while (known := projects.next_known(ground, project)) and _is_ours(known.project):
                if not known.inodes:
                    self._free(known.project)
                project = known.project + 1

    def _lift(self, directory: Path) -> None:
        """It keeps its project, which goes on counting."""
        with _opened(directory) as top:
            project = projects.of(top)
            if _is_ours(project) and projects.usage(top, project).limit:
                projects.limit(top, project, 0, 0)

    def _project(self, top: int) -> int:
        """That of a directory, which gets one if it has none."""
        with self._alone():
            project = projects.of(top)
            if not _is_ours(project):
                free = (each for each in range(FIRST, LAST) if not projects.usage(top, each).inodes)
                project = next(free)
                _forget_mark(top)
                # The bound of what was there before is no bound of this.
                projects.limit(top, project, 0, 0)
                projects.assign(top, project, directory=True)
            return project

    def _free(self, project: int) -> None:
        with self._alone() as ground:
            # By now it may be another's.
            known = projects.usage(ground, project)
            if known.limit and not known.inodes:
                projects.limit(ground, project, 0, 0)

    @staticmethod
    def _of(directory: Path) -> int:
        try:
            with _opened(directory) as top:
                return projects.of(top)
        except (FileNotFoundError, NotADirectoryError):
            return 0

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """A descriptor of the top of the file system, which any PaaS on it locks."""
        top = self._ground()
        while top.parent.stat().st_dev == top.stat().st_dev and top != top.parent:
            top = top.parent
        with _opened(top) as ground:
            fcntl.flock(ground, fcntl.LOCK_EX)
            yield ground

    def _ground(self) -> Path:
        return next(path for path in (self._place, *self._place.parents) if path.is_dir())


def inherit(directory: Path, new: Path) -> None:
    """Have a new directory, that is to take the place of an empty one, count for its project."""
    with _opened(directory) as old, _opened(new) as top:
        project = projects.of(old)
        if _is_ours(project) and _is_whole(old, project):
            projects.assign(top, project, directory=True)
            os.setxattr(top, MARK, str(project).encode())


def _assign_all(top: int, project: int) -> None:
    """Give a tree a project, from the top: whatever is made meanwhile inherits it, and the
    kernel moves no file in between that has another one (EXDEV).

    Links, pipes and sockets cannot be opened and stay without: they take no room.
    """
    for _ in range(TRIES):
        walk = Walk(os.dup(top), lambda place: projects.assign(place, project, directory=True))
        for parent, entry, status in walk:
            if stat.S_ISREG(status.st_mode):
                _assign_file(parent, entry, project)
        if not walk.lost:
            return
    raise Unsteady(
        "The directories of the volume are moved about all the time",
        resolution="Stop what does that, and try again.",
    )


def _assign_file(parent: int, name: str, project: int) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = syscalls.openat2(parent, name, flags, resolve=SAME_MOUNT)
    except OSError:
        # Gone, or a link by now: what took its place inherits.
        return
    try:
        if stat.S_ISREG(os.fstat(file).st_mode) and projects.of(file) != project:
            projects.assign(file, project, directory=False)
    finally:
        os.close(file)


def _is_ours(project: int) -> bool:
    return FIRST <= project <= LAST


def _is_whole(top: int, project: int) -> bool:
    try:
        return os.getxattr(top, MARK) == str(project).encode()
    except OSError:
        return False


def _forget_mark(top: int) -> None:
    """Of a directory without a project: an archive keeps the one, and not the other."""
    try:
        os.removexattr(top, MARK)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def _rounded(size: int) -> int:
    return -(-size // 1024) * 1024


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lacking(place: Path, found: Support) -> NoQuotas:
    """What is missing below `place`, and what to do."""
    mounted = mounts.of(place)
    if mounted.kind == "ext4":
        what, remedy = _lacking_ext4(mounted, found)
    elif mounted.kind == "xfs":
        what, remedy = "is mounted without project quotas", f"Unmount it, and {AGAIN}."
    else:
        what = f"is {mounted.kind}, which has no project quotas"
        remedy = f"Put {place} on ext4 (mkfs.ext4 -O project,quota) or XFS, and {AGAIN}."
    return NoQuotas(f"The file system of {place} {what}", resolution=remedy)


def _lacking_ext4(mounted: Mounted, found: Support) -> tuple[str, str]:
    if kernel.lacks("QFMT_V2"):
        # It would not even mount, but to be read, what tune2fs had made of it.
        what = "has no quotas: this kernel was made without them (CONFIG_QFMT_V2)"
        return what, "Boot a kernel of the distribution."
    if found is Support.COUNTED:
        return "counts project quotas, but enforces none", f"Unmount it, and {AGAIN}."
    make = f"tune2fs -O project,quota {mounted.device}"
    return "was made without project quotas", f"Unmount it, run {make}, and {AGAIN}."
