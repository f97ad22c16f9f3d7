"""Copying files into and out of containers, volumes and tmpfs of theirs included.

Each end is a child process that has no other root than the directory it works in, and,
for a container, its user namespace: a symlink of the container's leads nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from paas.engine.bundler import Bundler
from paas.engine.confined import Child, CopyFailed, Ground, Pipe, pack, together, unpack
from paas.engine.container import ContainerNotFound
from paas.engine.containers import Containers
from paas.engine.rootfs import Rootfs
from paas.engine.userns import UserRange, open_user_namespace


class Transfer:
    """Copies between containers, the host and tar streams."""

    def __init__(self, bundler: Bundler, containers: Containers, rootfs: Rootfs) -> None:
        self._bundler = bundler
        self._containers = containers
        self._rootfs = rootfs

    def out(self, container_id: str, path: str, target: int) -> None:
        """Write a path of the container as a tar stream to the descriptor `target`.

        Raises `ContainerNotFound`, `CopyFailed`.
        """
        self._in_container(container_id, lambda: pack(_absolute(path), target))

    def into(self, container_id: str, path: str, source: int, *, keep_owner: bool = True) -> None:
        """Make the files of a tar stream at a path of the container. Raises as `out`."""
        place = _absolute(path)
        self._in_container(container_id, lambda: unpack(source, place, keep_owner=keep_owner))
        self._bundler.events.add("copy", container_id)

    def to_host(self, container_id: str, path: str, target: Path) -> None:
        """Copy out to a path of this machine; what arrives is root's. Raises as `out`."""
        folder, name = (target, "/") if target.is_dir() else (target.parent, f"/{target.name}")
        try:
            ground = Ground(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise CopyFailed(f"{folder}: {error.strerror}") from error
        with Pipe() as pipe:
            child = Child(ground, lambda: unpack(pipe.read, name, keep_owner=False), pipe.write)
            together(lambda: self.out(container_id, path, pipe.write), pipe, child.wait)

    def from_host(
        self, source: str | Path, container_id: str, path: str, *, keep_owner: bool = False
    ) -> None:
        """Copy a path of this machine into the container. Raises as `out`."""
        ground = Ground(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        with Pipe() as pipe:
            child = Child(ground, lambda: pack(str(source), pipe.write), pipe.read)
            pipe.close_write()
            into = partial(self.into, container_id, path, pipe.read, keep_owner=keep_owner)
            together(child.wait, pipe, into, reads_first=True)

    def _in_container(self, container_id: str, work: Callable[[], None]) -> None:
        Child(self._ground(container_id), work).wait()

    def _ground(self, container_id: str) -> Ground:
        """The root as its processes see it; of one that has none, what is mounted for it."""
        status = self._containers.status(container_id)
        record = self._bundler.bundles.of(container_id).known_record()
        user_range = UserRange(record.base)
        root = Path(f"/proc/{status.pid}/root")
        if not status.pid:
            root = self._rootfs.mounted(container_id, user_range)
        try:
            descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContainerNotFound(container_id) from None
        return Ground(descriptor, open_user_namespace(user_range))


def _absolute(path: str) -> str:
    """As Docker: a path of a container begins at its root."""
    return f"/{path.lstrip('/')}"
