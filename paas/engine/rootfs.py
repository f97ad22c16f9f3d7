"""Root filesystems of containers: an overlay of layers, seen through an idmapped mount.

The tree of layers is mounted once per uid range with its ids shifted (mount_setattr(2),
MOUNT_ATTR_IDMAP); overlays are made inside of it, so that all apps share the layers and
what they write is 0-based on disk (Documentation/filesystems/overlayfs.rst, idmappings.rst).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from paas.engine.disks import Disks
from paas.engine.layers import LayerId, Layers
from paas.engine.mounting import CannotMount, clone, detach
from paas.engine.userns import UserRange
from paas.host import files, mounts, syscalls
from paas.model.layout import Layout

# Layers must mean the same under every engine and kernel: no redirects, no metadata-only
# copies, no index. `volatile`: what a container writes outside of its volumes does not
# outlive it, and a layer is synced when it is committed, so fsync may be free in here.
_OPTIONS = "redirect_dir=off,metacopy=off,index=off,volatile"


class Rootfs:
    """Mounts and unmounts the root filesystems of one engine."""

    def __init__(self, layout: Layout, layers: Layers) -> None:
        self._fs = layout.engine_fs
        self._trees = layout.run / "idmap"
        self._mounts = layout.run / "rootfs"
        self._pins = layout.run / "pins"
        self._run = layout.run
        self._layers = layers
        self._disks = Disks(layout)

    def mount(
        self,
        container_id: str,
        layers: Sequence[LayerId],
        user_range: UserRange,
        *,
        upper: Path | None = None,
        disk_bytes: int | None = None,
    ) -> Path:
        """Mount the root of a container; its ids are those of `user_range`.

        What it writes goes to a directory of its own, removed by `unmount`, on a disk of
        `disk_bytes` if that is given; or to `upper`, from `Layers.new_upper`, which can
        become a layer after `unmount`. Raises `CannotMount`, `CannotLimitDisk`.
        """
        tree = self.idmapped(user_range)
        target = self._mount_point(container_id, user_range)
        try:
            written = upper or self._writable(container_id, layers, disk_bytes)
            seen = None
            if upper is None and disk_bytes is not None:
                # No part of the tree of layers: the one mount of another file system.
                seen = self._disks.shifted(container_id, written.parent, user_range)
            self._overlay(tree, self._names(layers), written, target, seen=seen)
        except BaseException:
            self.unmount(container_id)
            raise
        return target

    def unmount(self, container_id: str) -> None:
        """Unmount the root of a container and remove what it wrote; again is harmless.

        An `upper` that was given to `mount` stays.
        """
        for base in self._children(self._mounts):
            target = base / container_id
            if target.is_dir():
                detach(target)
                target.rmdir()
        place = self._fs / "u" / container_id
        self._disks.remove(container_id, place)
        files.remove_tree(place)

    def volume(self, container_id: str, number: int, user_range: UserRange) -> Path:
        """A directory of a mounted container's own, on its disk, as its ids see it.

        `unmount` removes it. It begins empty and root's.
        """
        self.written(container_id).with_name(f"v{number}").mkdir(mode=0o755)
        disk = self._disks.found(container_id)
        place = disk or self.idmapped(user_range) / "u" / container_id
        return place / f"v{number}"

    def overlay(
        self,
        layers: Sequence[LayerId],
        upper: Path,
        target: Path,
        user_range: UserRange | None = None,
    ) -> None:
        """Mount layers and `upper` at `target` without shifting ids: for the host itself.
        With a range it is for a container to mount somewhere.

        `detach` ends it. Raises `CannotMount`.
        """
        tree = self._fs if user_range is None else self.idmapped(user_range)
        # Setuid files are root's for real in here, whoever finds a way to them.
        self._overlay(tree, self._names(layers), upper, target, syscalls.MS_NOSUID)

    def overlay_directory(
        self, below: Path, upper: Path, target: Path, user_range: UserRange
    ) -> None:
        """Mount a directory of the tree with `upper` on top of it, for a container to write to.

        `detach` ends it. Raises `CannotMount`.
        """
        lower = os.fspath(below.relative_to(self._fs))
        self._overlay(self.idmapped(user_range), lower, upper, target, syscalls.MS_NOSUID)

    def written(self, container_id: str) -> Path:
        """The upper directory of a container: what it wrote itself. It may be absent."""
        return self._fs / "u" / container_id / "upper"

    def mounted(self, container_id: str, user_range: UserRange) -> Path:
        """Where its root is mounted while it exists."""
        return self._mounts / str(user_range.base) / container_id

    def leftovers(self) -> set[str]:
        """Ids of containers that have a mount or written files, running or not."""
        mounted = {entry.name for base in self._children(self._mounts) for entry in base.iterdir()}
        written = {entry.name for entry in self._children(self._fs / "u")}
        return mounted | written | self._disks.names()

    def stood_on(self) -> set[LayerId]:
        """The layers that are mounted, also those that no image is made of any more: an image
        that was repaired has others than what was started from it before.
        """
        names = (
            name
            for mounted in mounts.options("overlay", self._run)
            for name in mounted.get("lowerdir", "").split(":")
        )
        return {LayerId(name.removeprefix("l/")) for name in names if name.startswith("l/")}

    def idmapped(self, user_range: UserRange) -> Path:
        """The tree of layers with the ids of a range, mounted when first asked for.

        Raises `CannotMount` on a file system that has no idmapped mounts.
        """
        tree = self._trees / str(user_range.base)
        if self._is_our_tree(tree):
            return tree
        self._layers.prepare()
        self._run.mkdir(mode=0o711, exist_ok=True, parents=True)
        self._trees.mkdir(mode=0o700, exist_ok=True)
        with files.FileLock(self._run / "idmap.lock"):
            if not self._is_our_tree(tree):
                tree.mkdir(exist_ok=True)
                detach(tree)
                clone(self._fs, tree, user_range)
        return tree

    def pin(self, directory: int, user_range: UserRange, *, shift: bool) -> Path:
        """A mount of an open directory (O_PATH), at a path that only root can change.

        Whoever may write beside the directory could put a symlink into its place between a
        look and the mount of a container. With `shift` its ids are those of the range.
        Raises `CannotMount`.
        """
        found = os.fstat(directory)
        base = self._pins / str(user_range.base)
        target = base / f"{found.st_dev:x}-{found.st_ino:x}"
        self._run.mkdir(mode=0o711, exist_ok=True, parents=True)
        base.mkdir(mode=0o700, exist_ok=True, parents=True)
        with files.FileLock(self._run / "idmap.lock"):
            target.mkdir(exist_ok=True)
            if target.stat().st_ino == found.st_ino and target.stat().st_dev == found.st_dev:
                return target
            detach(target)
            clone(Path(f"/proc/self/fd/{directory}"), target, user_range if shift else None)
        return target

    def is_used(self, user_range: UserRange) -> bool:
        """Whether the root of a container of that range is mounted."""
        return bool(self._children(self._mounts / str(user_range.base)))

    def release(self, user_range: UserRange) -> None:
        """Unmount the tree of a range that nothing runs in any more; again is harmless."""
        for pin in self._children(self._pins / str(user_range.base)):
            detach(pin)
            pin.rmdir()
        for path in (
            self._trees / str(user_range.base),
            self._mounts / str(user_range.base),
            self._pins / str(user_range.base),
        ):
            if path.is_dir():
                detach(path)
                path.rmdir()

    def teardown(self) -> None:
        """Unmount everything of this engine: it is being stopped for good."""
        for container in self.leftovers():
            self.unmount(container)
        for tree in (*self._children(self._trees), *self._children(self._pins)):
            self.release(UserRange(int(tree.name)))
        self._disks.forget()

    def _overlay(
        self,
        tree: Path,
        lower: str,
        upper: Path,
        target: Path,
        flags: int = 0,
        *,
        seen: Path | None = None,
    ) -> None:
        """`lower` and all are relative to `tree`.

        `seen` is where what is above `upper` has shifted ids, when it is not below `tree`.
        """
        work = upper.parent / "work"
        # A `volatile` overlay refuses the work directory of an earlier one.
        files.remove_tree(work)
        work.mkdir(mode=0o700)
        above = seen or upper.parent.relative_to(self._fs)
        data = f"lowerdir={lower},upperdir={above}/upper,workdir={above}/work,{_OPTIONS}"
        try:
            syscalls.in_directory(
                tree,
                lambda: syscalls.mount("paas", target, "overlay", syscalls.MS_NODEV | flags, data),
            )
        except OSError as error:
            raise CannotMount(
                f"The overlay at {target} cannot be mounted: {error.strerror}",
                [data],
                "Run `paas doctor`; `dmesg` has the kernel's reason.",
            ) from error
        if os.statvfs(target).f_flag & os.ST_RDONLY:
            detach(target)
            raise CannotMount(
                f"The kernel mounted the overlay at {target} read-only",
                [data],
                "Put the root of the PaaS on ext4, xfs or btrfs: overlayfs needs to write there.",
            )

    def _names(self, layers: Sequence[LayerId]) -> str:
        """Short names: 128 layers fit into the one page of mount(2)'s options."""
        return ":".join(f"l/{layer}" for layer in self._layers.stack(layers))

    def _mount_point(self, container_id: str, user_range: UserRange) -> Path:
        """A directory that only the range's own root (and the host's) can reach."""
        self._mounts.mkdir(mode=0o711, exist_ok=True)
        self._mounts.chmod(0o711)
        base = self._mounts / str(user_range.base)
        base.mkdir(mode=0o700, exist_ok=True)
        os.chown(base, user_range.base, user_range.base)
        target = base / container_id
        target.mkdir(exist_ok=True)
        detach(target)
        return target

    def _writable(
        self, container_id: str, layers: Sequence[LayerId], disk_bytes: int | None
    ) -> Path:
        """The upper directory of a container, with its image's root's mode and owner."""
        upper = self._fs / "u" / container_id / "upper"
        self._disks.remove(container_id, upper.parent)
        files.remove_tree(upper.parent)
        upper.parent.mkdir(parents=True)
        if disk_bytes is not None:
            self._disks.mount(container_id, upper.parent, disk_bytes)
        upper.mkdir()
        self._layers.imitate_root(upper, layers[-1] if layers else None)
        return upper

    def _is_our_tree(self, tree: Path) -> bool:
        """Whether our layers are mounted there, and not those of a removed installation."""
        try:
            mounted, ours = tree.stat(), self._fs.stat()
        except FileNotFoundError:
            return False
        return (mounted.st_dev, mounted.st_ino) == (ours.st_dev, ours.st_ino)

    @staticmethod
    def _children(directory: Path) -> list[Path]:
        return list(directory.iterdir()) if directory.is_dir() else []
