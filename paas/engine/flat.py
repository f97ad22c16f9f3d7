"""Root filesystems as one tar: images without their history, out and in.

What `docker export` and `docker import` do, of an image instead of a container.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from paas.engine.config import History, ImageConfig
from paas.engine.images import Image, Images
from paas.engine.layers import LayerId, Layers
from paas.engine.mounting import detach
from paas.engine.pack import pack
from paas.engine.reference import Reference
from paas.engine.rootfs import Rootfs
from paas.engine.unpack import unpack
from paas.host import files
from paas.host.disk import DiskFull
from paas.model.layout import Layout

_CHUNK = 1 << 20


class Flat:
    """Exports and imports root filesystems."""

    def __init__(self, layout: Layout, images: Images, layers: Layers, rootfs: Rootfs) -> None:
        self._scratch = layout.engine / "scratch"
        self._images = images
        self._layers = layers
        self._rootfs = rootfs

    def export(self, image: Image, target: IO[bytes]) -> None:
        """Write all files of an image as one uncompressed tar, the same each time."""
        with self.folder() as folder:
            upper = self._layers.new_upper(image.layers[-1] if image.layers else None)
            root = folder / "root"
            root.mkdir()
            try:
                self._rootfs.overlay(image.layers, upper, root)
                pack(root, target)
            finally:
                detach(root)
                self._layers.abandon(upper)

    def import_(self, archive: Path, ref: Reference, comment: str) -> Image:
        """An image of one layer, made of a root filesystem. Raises `LayerRefused`, `DiskFull`."""
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._layers.lease():
            layer = self._unpacked(archive)
            config = ImageConfig(created=created, history=(History("", created, comment),))
            image = self._images.add(config, [layer])
            self._images.tag(ref, image.id)
        return image

    def _unpacked(self, archive: Path) -> LayerId:
        upper = self._layers.new_upper()
        try:
            unpacked = unpack(archive, upper, reserve=self._layers.disk.reserve)
            return self._layers.find(unpacked.diff_id) or self._layers.commit(
                upper, diff_id=unpacked.diff_id
            )
        finally:
            self._layers.abandon(upper)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A directory of our own, gone at the end; the collector takes those of nobody, so the
        lease is held.
        """
        with self._layers.lease():
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix="flat-", dir=self._scratch))
            try:
                yield path
            finally:
                files.remove_tree(path)

    @contextmanager
    def spooled(self, source: int, what: str) -> Iterator[Path]:
        """What a descriptor gives, as a file, gone at the end. Raises `DiskFull`."""
        with self.folder() as folder:
            path = folder / "archive"
            room = self._layers.disk.room()
            with path.open("wb") as file:
                while chunk := os.read(source, _CHUNK):
                    room -= len(chunk)
                    if room < 0:
                        self._layers.disk.admit(what, len(chunk))
                        raise DiskFull(what, "nothing more is", path.parent)
                    file.write(chunk)
            yield path
