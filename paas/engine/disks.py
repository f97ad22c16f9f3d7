"""Disks of a size of their own for what containers write: a quota on any file system.

Quotas by directory (project quotas) need a file system that was made and mounted for them,
which a server's root hardly ever is. So: a sparse file with ext4 in it, on a loop device
that ends with its mount. Sources: mke2fs(8), loop(4), mount(8).
"""

from __future__ import annotations

from pathlib import Path

from paas.engine.mounting import clone, detach
from paas.engine.userns import UserRange
from paas.errors import PaasError
from paas.host import files, processes
from paas.host.processes import ProcessFailed
from paas.model.layout import Layout

# Nothing in it outlives the machine's restart: neither a journal nor reserved blocks.
_FEATURES = ("-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard")
# What is deleted in it is free for others again.
_OPTIONS = "loop,nodev,discard"


class CannotLimitDisk(PaasError):
    """A container cannot be given a disk of its own on this host."""


class Disks:
    """The disks of one engine, each named after its container."""

    def __init__(self, layout: Layout) -> None:
        self._images = layout.engine / "disks"
        self._shifted = layout.run / "disks"

    def mount(self, name: str, target: Path, size: int) -> None:
        """Make an empty disk of `size` bytes and mount it at `target`, its ids from 0 on.

        What a file system keeps for itself counts too. Raises `CannotLimitDisk`; then, and
        when this process is killed, `remove` takes away what there is.
        """
        self._images.mkdir(mode=0o700, exist_ok=True)
        image = self._images / name
        try:
            with image.open("wb") as file:
                file.truncate(size)
            processes.run(["mke2fs", "-q", "-F", "-t", "ext4", *_FEATURES, image])
            processes.run(["mount", "-t", "ext4", "-o", _OPTIONS, image, target])
        except (OSError, ProcessFailed) as error:
            raise CannotLimitDisk(
                f"A disk of {size >> 20} MiB cannot be made",
                [error.brief if isinstance(error, ProcessFailed) else str(error)],
                "It takes loop devices (`modprobe loop`; a virtual server in a container may "
                "have none): without them, set no disk limit.",
            ) from error

    def shifted(self, name: str, source: Path, user_range: UserRange) -> Path:
        """A second mount of the disk at `source`, its ids those of a range."""
        target = self._shifted / name
        self._shifted.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.mkdir(exist_ok=True)
        detach(target)
        clone(source, target, user_range)
        return target

    def found(self, name: str) -> Path | None:
        """Where `shifted` mounted a disk, if there is one of that name."""
        target = self._shifted / name
        return target if target.is_dir() else None

    def remove(self, name: str, target: Path) -> None:
        """Unmount a disk and delete it; one that is not there is fine."""
        shifted = self._shifted / name
        if shifted.is_dir():
            detach(shifted)
            shifted.rmdir()
        image = self._images / name
        if image.exists():
            if target.is_dir():
                detach(target)
            image.unlink()

    def names(self) -> set[str]:
        """Of what is there, whole or not."""
        folders = (self._images, self._shifted)
        return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}

    def forget(self) -> None:
        """Remove the directories of no disk: the engine is being stopped for good."""
        for folder in (self._images, self._shifted):
            files.remove_tree(folder)
