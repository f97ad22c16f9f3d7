"""What takes the room on the disk: `paas df`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.deploy.buildpack_clones import BuildpackClones
from paas.deploy.housekeeping import CACHE_SECONDS, Housekeeping
from paas.engine.build.downloads import downloads_directory
from paas.engine.engine import Engine
from paas.host.sizes import tree_size
from paas.host.walk import Inode
from paas.model.layout import Layout


@dataclass(frozen=True)
class Usage:
    """One kind of thing: how many, how large in bytes, and what `paas gc` would free."""

    kind: str
    count: int
    bytes: int
    reclaimable: int = 0


@dataclass(frozen=True)
class Space:
    """The file system below the root, in bytes."""

    total: int
    free: int


def space(layout: Layout) -> Space:
    """How large the disk is, and what is free for us."""
    status = os.statvfs(layout.root)
    return Space(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def usage(layout: Layout, engine: Engine, housekeeping: Housekeeping) -> Iterator[Usage]:
    """What there is, the images first."""
    seen: set[Inode] = set()
    yield from _images(engine, housekeeping)
    written = layout.engine_fs / "u"
    # A container with a limit for its disk has a file that is one, mounted at its place.
    disks = tree_size(layout.engine / "disks", seen)
    yield Usage("containers", _entries(written), tree_size(written, seen) + disks)
    for kind, path in (
        ("volumes", layout.engine_fs / "volumes"),
        ("repositories", layout.repos),
        # The objects of a push are links to those of its repository.
        ("deploys", layout.deploys),
        ("logs", layout.logs),
    ):
        yield Usage(kind, _entries(path), tree_size(path, seen))
    downloads = downloads_directory(layout)
    size = tree_size(downloads, seen)
    yield Usage("downloads", _entries(downloads), size, size)
    clones = BuildpackClones(layout)
    unused = clones.unused(CACHE_SECONDS, engine.clock.now())
    size = tree_size(clones.directory, seen)
    yield Usage("buildpacks", _entries(clones.directory), size, sum(map(tree_size, unused)))
    unfinished = (layout.engine_fs / "tmp", layout.engine / "scratch")
    size = sum(tree_size(path, seen) for path in unfinished)
    yield Usage("unfinished", sum(map(_entries, unfinished)), size)


def _images(engine: Engine, housekeeping: Housekeeping) -> Iterator[Usage]:
    layers, images = engine.layers, engine.images
    needed = {*images.refs().values(), *housekeeping.needed()}
    everything = images.list()
    kept = {layer for image in everything if image.id in needed for layer in image.layers}
    needed_layers = housekeeping.needed_layers()
    of_images = images.layers()
    rest = {layer for layer in layers.list() if layer not in of_images}
    dead = sum(layers.size(layer) for layer in of_images - kept - needed_layers)
    yield Usage("images", len(everything), sum(map(layers.size, of_images)), dead)
    stale = sum(layers.size(layer) for layer in rest - needed_layers)
    yield Usage("build cache", len(rest), sum(map(layers.size, rest)), stale)


def _entries(path: Path) -> int:
    return sum(1 for _ in path.iterdir()) if path.is_dir() else 0
