"""Named directories that outlive containers.

They lie in the tree that is idmapped for each user id range, so on disk their files have
the container's own ids, whichever range it has today.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path

from paas.engine.confined import Child, Ground, pack, unpack
from paas.engine.fill import making, mark
from paas.engine.quotas import Quotas
from paas.engine.rootfs import Rootfs
from paas.engine.spec import Mount
from paas.engine.userns import UserRange
from paas.errors import NotFound, PaasError
from paas.host import files, syscalls
from paas.host.files import FileLock
from paas.host.projects import Usage
from paas.host.sizes import tree_size
from paas.model.layout import Layout

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
LEFT = re.compile(r"\.([0-9]+|import|fill)$")
"""How what is beside a volume is called, while it is made, filled and taken away."""


class InvalidVolumeName(PaasError):
    """The name cannot be that of a volume."""


class VolumeNotFound(NotFound):
    """No volume has that name."""


class UnsafePath(PaasError):
    """A part of a volume leads elsewhere."""


class BeingReplaced(PaasError):
    """Somebody else is giving the volume other files."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The volume {name} is being imported into by somebody else",
            resolution="Wait until that has ended, and try again.",
        )


class NoSuchDirectory(PaasError):
    """A directory of the host to be mounted is none."""


class Volumes:
    """The volumes of one engine."""

    def __init__(self, layout: Layout, rootfs: Rootfs) -> None:
        self._directory = layout.engine_fs / "volumes"
        self._locks = layout.locks
        self._rootfs = rootfs
        self.quotas = Quotas(self._directory)

    def making(self) -> FileLock:
        """Held by who makes a volume that is not written down yet: nobody takes it for
        nobody's.
        """
        return making(self._locks)

    def ending(self) -> FileLock:
        """Held by who takes volumes away, for a moment; while nobody makes any."""
        return FileLock(making(self._locks).path, "removing volumes")

    def create(
        self, name: str, *, uid: int = 0, gid: int = 0, mode: int = 0o755, quota: int | None = None
    ) -> Path:
        """Make a volume, owned by an id of the container; one that exists stays as it is.

        It never takes more than `quota` bytes. Raises `InvalidVolumeName`, `NoQuotas`.
        """
        path = self.path(name)
        self._directory.mkdir(parents=True, exist_ok=True)
        # Resolved through the idmapped tree by containers' ids; the tree itself is behind
        # a directory that only root passes.
        self._directory.chmod(0o755)
        with self.making():
            files.make_directory(
                path, uid=uid, gid=gid, mode=mode, prepare=lambda new: self.quotas.set(new, quota)
            )
        return path

    def mount(
        self,
        name: str,
        user_range: UserRange,
        target: str,
        *,
        read_only: bool = False,
        subpath: str = "",
        fill: bool = False,
    ) -> Mount:
        """The volume as a mount of a container of that range.

        With `subpath` only a directory of it, made if need be. With `fill`, one that was
        never used begins with the image's files. Raises `VolumeNotFound`, `UnsafePath`.
        """
        path = self._existing(name)
        tree = self._rootfs.idmapped(user_range) / "volumes" / name
        if not subpath:
            return Mount(tree, target, read_only, fill)
        directory = _open_below(tree, subpath)
        try:
            return Mount(self._rootfs.pin(directory, user_range, shift=False), target, read_only)
        except OSError as error:
            raise UnsafePath(f"{subpath} of {path.name}: {error.strerror}") from error
        finally:
            os.close(directory)

    def bind(
        self, directory: Path, user_range: UserRange, target: str, *, read_only: bool = False
    ) -> Mount:
        """A directory of the host as a mount: its ids on disk are the container's own.

        Raises `NoSuchDirectory`, `CannotMount`.
        """
        try:
            # Root names it, and may lead where root wants: links are followed.
            opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NoSuchDirectory(
                f"{directory} cannot be mounted: {error.strerror}",
                resolution=f"Make it on the server: sudo mkdir -p {directory}",
            ) from error
        try:
            return Mount(self._rootfs.pin(opened, user_range, shift=True), target, read_only)
        finally:
            os.close(opened)

    def export(self, name: str, target: int) -> None:
        """Write all of a volume as a tar stream, its owners by number. Raises `CopyFailed`."""
        Child(self._ground(self._existing(name)), partial(pack, "/", target)).wait()

    def replace(
        self, name: str, source: int, unused: AbstractContextManager[None] | None = None
    ) -> None:
        """Make the files of a tar stream all that a volume has, or leave it as it was.

        No container may have it mounted: it would keep what was there. A stream may take long:
        `unused` is entered behind it, to look again. Raises `CopyFailed`, and what that raises.
        """
        path = self._existing(name)
        beside, held = self._beside(name)
        try:
            kept = path.stat()
            os.chown(beside, kept.st_uid, kept.st_gid)
            beside.chmod(kept.st_mode & 0o7777)
            self.quotas.imitate(path, beside)
            Child(self._ground(beside), partial(unpack, source, "/", keep_owner=True)).wait()
            mark(beside)
            files.sync_filesystem(beside)
            with unused or nullcontext():
                syscalls.renameat2(beside, path, syscalls.RENAME_EXCHANGE)
        finally:
            self._delete(beside)
            os.close(held)

    def _beside(self, name: str) -> tuple[Path, int]:
        """An empty directory for what is to become a volume, and the descriptor that says that
        somebody works on it. Raises `BeingReplaced`.
        """
        beside = self.path(name).with_name(f".{name}.import")
        with self.ending():
            if beside.exists() and not _is_nobody_s(beside):
                raise BeingReplaced(name)
            files.remove_tree(beside)
            beside.mkdir(mode=0o700)
            held = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(held, fcntl.LOCK_EX)
        return beside, held

    def discard(self, name: str) -> None:
        """Take a volume away at once, for `sweep` to delete. For who holds `ending`."""
        path = self.path(name)
        if path.is_dir():
            path.rename(path.with_name(f".{name}.{os.getpid()}"))

    def sweep(self) -> None:
        """Delete what was discarded, and what those left who were killed."""
        with self.ending():
            found = [path for path in self._directory.glob(".*") if LEFT.search(path.name)]
            doomed = [_aside(path) for path in found if _is_nobody_s(path)]
        for path in doomed:
            self._delete(path)
        self.quotas.sweep()

    def bound(self, name: str, quota: int | None) -> None:
        """Have a volume never take more than `quota` bytes; None lifts that.

        What is so already is nothing to do. Raises `NoQuotas`, `QuotaTooSmall`,
        `VolumeNotFound`.
        """
        self.quotas.set(self._existing(name), quota)

    @staticmethod
    def _ground(path: Path) -> Ground:
        return Ground(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if not path.is_dir():
            raise VolumeNotFound(f"There is no volume {name}")
        return path

    def list(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return sorted(path.name for path in self._directory.iterdir() if path.name[0] != ".")

    def size(self, name: str) -> int:
        """Bytes on disk, by the kernel's count where there is one; none of an absent one."""
        usage = self.usage(name)
        return usage.bytes if usage is not None else tree_size(self.path(name))

    def usage(self, name: str) -> Usage | None:
        """The kernel's count of a volume, and its bound; None where nobody counts it."""
        return self.quotas.usage(self.path(name))

    def is_empty(self, name: str) -> bool:
        """Whether nothing is in it: what takes no room, such as a link, is something.

        Raises `VolumeNotFound`.
        """
        return not any(self._existing(name).iterdir())

    def remove(self, name: str) -> None:
        """Delete a volume and all in it; an absent one is fine."""
        self._delete(self.path(name))

    def _delete(self, path: Path) -> None:
        self.quotas.remove(path, files.remove_tree)

    def settle(self, name: str) -> None:
        """Have it stay as it is when it is first used: nothing is copied, nobody owns it."""
        mark(self._existing(name))

    def path(self, name: str) -> Path:
        """Where a volume is, or would be. Raises `InvalidVolumeName`."""
        if not NAME.fullmatch(name):
            raise InvalidVolumeName(
                f"{name!r} is not a name for a volume",
                resolution="Use lower-case letters, digits, dots, dashes and underscores.",
            )
        return self._directory / name


def _aside(directory: Path) -> Path:
    """Under a name of its own: that of a copy may be another's by the time it is deleted."""
    if directory.suffix[1:].isdecimal():
        return directory
    unique = f"{directory.name}.{secrets.token_hex(4)}.{os.getpid()}"
    return directory.rename(directory.with_name(unique))


def _is_nobody_s(directory: Path) -> bool:
    """Whether nobody works on it who has not been killed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _open_below(top: Path, subpath: str) -> int:
    """A descriptor of a directory below `top`, which no symlink leads to; made if need be."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(top, flags)
    owner = os.fstat(place)
    for part in Path(subpath).parts:
        try:
            if part in ("/", ".."):
                raise NotADirectoryError(0, "it leads out of the volume")
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=place)
                os.chown(part, owner.st_uid, owner.st_gid, dir_fd=place, follow_symlinks=False)
            inner = os.open(part, flags, dir_fd=place)
        except OSError as error:
            raise UnsafePath(
                f"{subpath} is no directory of the volume: {error.strerror}",
                resolution="Name a directory by its own path, without links and `..`.",
            ) from error
        finally:
            os.close(place)
        place = inner
    return place
