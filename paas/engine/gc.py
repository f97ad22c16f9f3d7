"""Collecting what nothing names: images, layers, and what crashes left behind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from paas.engine.images import Images
from paas.engine.layers import LayerId, Layers
from paas.host import files
from paas.host.waiting import wait_until
from paas.model.layout import Layout

SWEEP_SECONDS = 2.0
"""How long another sweep is waited for; most are over in milliseconds."""


@dataclass(frozen=True)
class Collected:
    """What a collection removed; `bytes` are of files, mostly the layers'."""

    images: tuple[str, ...]
    layers: tuple[LayerId, ...]
    bytes: int


class Collector:
    """Removes what is unreachable from names, containers and caches."""

    def __init__(self, layout: Layout, images: Images, layers: Layers) -> None:
        self._scratch = layout.engine / "scratch"
        self._images = images
        self._layers = layers

    def collect(
        self,
        *,
        images: Callable[[], Collection[str]] = tuple,
        layers: Callable[[], Collection[LayerId]] = tuple,
    ) -> Collected | None:
        """Remove all but the images with a name and those given, their layers and those given.

        `images` gives the ids that releases and containers need, `layers` those of the build
        cache and those that containers stand on. They are asked under the lock: what a build
        made and a release came to need while this waited its turn is among them. None while
        something is being built or pulled: another time then.
        """
        lock = self._layers.sweep_lock()
        if not _taken(lock):
            return None
        try:
            # Looked at under the lock: whoever makes an image holds it until it is named.
            dead_images = self._dead_images(images())
            for image in dead_images:
                self._images.remove(image)
            dead_layers = self._dead_layers(layers())
            freed = sum(self._layers.size(layer) for layer in dead_layers)
            for layer in dead_layers:
                self._layers.remove(layer)
            self._sweep()
        finally:
            lock.release()
        return Collected(tuple(dead_images), tuple(dead_layers), freed)

    def _dead_images(self, kept: Collection[str]) -> list[str]:
        living = {*self._images.refs().values(), *kept}
        return [image.id for image in self._images.list() if image.id not in living]

    def _dead_layers(self, kept: Collection[LayerId]) -> list[LayerId]:
        living = {*self._images.layers(), *kept}
        return [layer for layer in self._layers.list() if layer not in living]

    def _sweep(self) -> None:
        """Remove what processes that were killed left on disk."""
        self._layers.sweep()
        if self._scratch.is_dir():
            for path in self._scratch.iterdir():
                files.remove_tree(path)


def _taken(lock: files.FileLock) -> bool:
    """Take the lock that others hold alone for a sweep, or together for as long as they build."""
    return lock.try_acquire() or (
        bool(lock.holder()) and wait_until(lock.try_acquire, SWEEP_SECONDS)
    )
