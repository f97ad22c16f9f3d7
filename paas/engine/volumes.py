"""Named directories that outlive containers.

They lie in the tree that is idmapped for each user id range, so on disk their files have
the container's own ids, whichever range it has today.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from paas.engine.rootfs import Rootfs
from paas.engine.spec import Mount
from paas.engine.userns import UserRange
from paas.errors import NotFound, PaasError
from paas.host import files
from paas.model.layout import Layout

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")


class InvalidVolumeName(PaasError):
    """The name cannot be that of a volume."""


class VolumeNotFound(NotFound):
    """No volume has that name."""


class Volumes:
    """The volumes of one engine."""

    def __init__(self, layout: Layout, rootfs: Rootfs) -> None:
        self._directory = layout.engine_fs / "volumes"
        self._rootfs = rootfs

    def create(self, name: str, *, uid: int = 0, gid: int = 0, mode: int = 0o755) -> Path:
        """Make a volume, owned by an id of the container; one that exists stays as it is.

        Raises `InvalidVolumeName`.
        """
        path = self._path(name)
        self._directory.mkdir(parents=True, exist_ok=True)
        # Resolved through the idmapped tree by containers' ids; the tree itself is behind
        # a directory that only root passes.
        self._directory.chmod(0o755)
        beside = self._directory / f".{name}.{os.getpid()}"
        beside.mkdir(mode=0o700)
        os.chown(beside, uid, gid)
        beside.chmod(mode)
        try:
            # Never replaces one with content, and an empty one only by its equal.
            beside.rename(path)
        except OSError:
            beside.rmdir()
            if not path.is_dir():
                raise
        files.sync_directory(self._directory)
        return path

    def mount(
        self, name: str, user_range: UserRange, target: str, *, read_only: bool = False
    ) -> Mount:
        """The volume as a mount of a container of that range. Raises `VolumeNotFound`."""
        if not self._path(name).is_dir():
            raise VolumeNotFound(f"There is no volume {name}")
        return Mount(self._rootfs.idmapped(user_range) / "volumes" / name, target, read_only)

    def list(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return sorted(path.name for path in self._directory.iterdir() if path.name[0] != ".")

    def size(self, name: str) -> int:
        """Bytes on disk; none of an absent one."""
        path = self._path(name)
        return files.tree_size(path) if path.is_dir() else 0

    def remove(self, name: str) -> None:
        """Delete a volume and all in it; an absent one is fine."""
        files.remove_tree(self._path(name))

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise InvalidVolumeName(
                f"{name!r} is not a name for a volume",
                resolution="Use lower-case letters, digits, dots, dashes and underscores.",
            )
        return self._directory / name
