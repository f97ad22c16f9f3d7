"""Making a layer: an upper directory, mounted to be written, that is committed or freed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paas.engine.build.stubs import is_empty
from paas.engine.layers import LayerId, Layers
from paas.engine.mounting import detach
from paas.engine.rootfs import Rootfs
from paas.engine.userns import UserRange
from paas.host.disk import Disk
from paas.model.layout import Layout


class Workspace:
    """Upper directories and mounts of builds."""

    def __init__(self, layout: Layout, layers: Layers, rootfs: Rootfs) -> None:
        self._run = layout.run
        self._mounts = layout.run / "build-mounts"
        self._layers = layers
        self._rootfs = rootfs

    @property
    def disk(self) -> Disk:
        """Where all of it is."""
        return self._layers.disk

    def layer(self, below: Sequence[LayerId], make: Callable[[Path], None]) -> LayerId | None:
        """What `make` writes into the upper directory it is given, as a layer.

        None if it wrote nothing. If it raises, nothing is left.
        """
        upper = self._layers.new_upper(below[-1] if below else None)
        try:
            make(upper)
            if is_empty(upper, [self._layers.path(layer) for layer in below]):
                return None
            return self._layers.commit(upper)
        finally:
            # After a commit there is nothing more to free.
            self._layers.abandon(upper)

    @contextmanager
    def mounted(
        self, below: Sequence[LayerId], upper: Path, user_range: UserRange | None = None
    ) -> Iterator[Path]:
        """The layers with `upper` on top of them, for this process to write into, or with
        the ids of a range for a container to have.
        """
        with self._target(user_range) as target:
            self._rootfs.overlay(below, upper, target, user_range)
            yield target

    @contextmanager
    def mounted_over(self, below: Path, upper: Path, user_range: UserRange) -> Iterator[Path]:
        """A directory of the tree of layers with `upper` on top of it, for a container."""
        with self._target(user_range) as target:
            self._rootfs.overlay_directory(below, upper, target, user_range)
            yield target

    @contextmanager
    def _target(self, user_range: UserRange | None) -> Iterator[Path]:
        """Where to mount, for a while."""
        target = self._place(user_range) / secrets.token_hex(8)
        target.mkdir()
        try:
            yield target
        finally:
            detach(target)
            target.rmdir()

    def _place(self, user_range: UserRange | None) -> Path:
        """Where mounts go that root alone reaches, or the root of a range: mountinfo tells
        every user of the host their names."""
        self._run.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._mounts.mkdir(mode=0o711, exist_ok=True)
        owner = user_range.base if user_range else 0
        place = self._mounts / str(owner)
        if not place.exists():
            place.mkdir(mode=0o700, exist_ok=True)
            os.chown(place, owner, owner)
        return place

    @contextmanager
    def tree(self, layers: Sequence[LayerId]) -> Iterator[Path]:
        """The files of some layers, to be read."""
        upper = self._layers.new_upper(layers[-1] if layers else None)
        try:
            with self.mounted(layers, upper) as root:
                yield root
        finally:
            self._layers.abandon(upper)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory for a while."""
        upper = self._layers.new_upper()
        try:
            yield upper
        finally:
            self._layers.abandon(upper)

    def imitate(self, upper: Path, layers: Sequence[LayerId]) -> None:
        """Give `upper` the mode and owner of the root of some layers."""
        self._layers.imitate_root(upper, layers[-1] if layers else None)

    def recover(self) -> None:
        """Unmount what builds left that were killed. No build may be running."""
        for target in self._mounts.glob("*/*"):
            detach(target)
            target.rmdir()
