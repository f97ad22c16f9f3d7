"""CACHE_DIR: a volume that a build changes as a whole or not at all.

What a build writes there goes to an overlay on top of the volume. When it has ended by itself
that is renamed to `.NAME.done`, which counts from then on: whoever comes first moves it into the
volume. A build that is killed, with paasd or at a limit, has changed nothing. As in a layer, a
file of several names that is changed under one of them is another one under the others.

Sources: Documentation/filesystems/overlayfs.rst, whiteouts and opaque directories.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.workspace import Workspace
from paas.engine.diff import is_opaque, is_whiteout
from paas.engine.spec import Mount
from paas.engine.userns import UserRange
from paas.engine.volumes import Volumes
from paas.host import files
from paas.model.report import Report

MAX_DEPTH = 64
"""Levels of directories that are changed, not replaced; one holds a descriptor of each."""


@dataclass
class Opened:
    """A cache for one build; what it wrote is kept if the build says so."""

    mount: Mount
    kept: bool = False


class CacheVolumes:
    """The caches of builds by buildpacks, by their names."""

    def __init__(self, volumes: Volumes, workspace: Workspace) -> None:
        self._volumes = volumes
        self._workspace = workspace

    @contextmanager
    def opened(
        self, name: str, uid: int, user_range: UserRange, target: str, report: Report
    ) -> Iterator[Opened]:
        """The cache for a build of that range, at `target`; a new one is the user's."""
        volume = self.finish(name, uid, report)
        with self._workspace.scratch() as upper:
            # The root of the overlay has the attributes of its upper directory.
            _imitate(upper, volume.stat())
            with self._workspace.mounted_over(volume, upper, user_range) as root:
                opened = Opened(Mount(root, target))
                yield opened
            if opened.kept:
                files.sync_filesystem(upper)
                upper.rename(_done(volume))
                self.finish(name, uid, report)

    def size(self, name: str) -> int:
        """Bytes on disk; none of an absent one."""
        return self._volumes.size(name)

    def remove(self, name: str) -> None:
        """Delete a cache; an absent one is fine."""
        files.remove_tree(_done(self._volumes.path(name)))
        self._volumes.remove(name)

    def finish(self, name: str, uid: int, report: Report) -> Path:
        """Move what an ended build wrote into the volume, which is made if there is none; who is
        killed half-way is gone on with.
        """
        volume = self._volumes.create(name, uid=uid, gid=uid)
        done = _done(volume)
        if not done.is_dir():
            return volume
        try:
            _move(done, volume)
        except OSError as error:
            # Without a cache the next build is slower, with half of one it is wrong.
            report.warn(f"What builds keep for the next one is lost: {error.strerror}")
            self.remove(name)
            self._volumes.create(name, uid=uid, gid=uid)
        return volume


def _done(volume: Path) -> Path:
    return volume.with_name(f".{volume.name}.done")


def _imitate(directory: Path, status: os.stat_result) -> None:
    os.chown(directory, status.st_uid, status.st_gid)
    directory.chmod(stat.S_IMODE(status.st_mode))


def _move(done: Path, volume: Path) -> None:
    source, target = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (done, volume))
    try:
        _merge(source, target, 1)
    finally:
        os.close(source)
        os.close(target)
    done.rmdir()


def _merge(upper: int, below: int, depth: int) -> None:
    """Move all of an upper directory into the one below it. Each step can be done again."""
    if depth > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    for name in os.listdir(upper):
        status = os.lstat(name, dir_fd=upper)
        if stat.S_ISDIR(status.st_mode) and _merged(upper, below, name, depth):
            os.rmdir(name, dir_fd=upper)
            continue
        files.remove_entry(below, name)
        if is_whiteout(status):
            os.unlink(name, dir_fd=upper)
        else:
            os.rename(name, name, src_dir_fd=upper, dst_dir_fd=below)
    status = os.fstat(upper)
    os.fchown(below, status.st_uid, status.st_gid)
    os.fchmod(below, stat.S_IMODE(status.st_mode))
    os.utime(below, ns=(status.st_atime_ns, status.st_mtime_ns))


def _merged(upper: int, below: int, name: str, depth: int) -> bool:
    """Merge a directory into that of the same name; False where it replaces what is there."""
    source = files.open_directory(upper, name)
    try:
        target = None if is_opaque(source) else _directory(below, name)
        if target is None:
            return False
        try:
            _merge(source, target, depth + 1)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True


def _directory(parent: int, name: str) -> int | None:
    """A descriptor of a directory; None where there is none, but maybe something else."""
    try:
        return files.open_directory(parent, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
