"""The engine as a whole: its parts, made when first used, over one database."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files

from paas.engine.build.builder import Builder
from paas.engine.containers import Containers
from paas.engine.foreground import Foreground
from paas.engine.images import Images
from paas.engine.layers import Layers
from paas.engine.network.network import Network
from paas.engine.registry import Registry
from paas.engine.rootfs import Rootfs
from paas.engine.runtime import Runtimes
from paas.engine.stack import Stack
from paas.engine.userns import UserRanges
from paas.host.cgroups import Cgroups
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database
from paas.model.layout import Layout


class Engine:
    """The container engine of the PaaS at `layout`; it knows nothing of apps."""

    def __init__(self, layout: Layout, clock: Clock | None = None) -> None:
        self.layout = layout
        self.clock = clock or SystemClock()

    @cached_property
    def database(self) -> Database:
        return Database(self.layout.engine_database, files("paas.engine") / "migrations")

    @cached_property
    def layers(self) -> Layers:
        return Layers(self.layout, self.database, self.clock)

    @cached_property
    def images(self) -> Images:
        return Images(self.database, self.clock)

    @cached_property
    def ranges(self) -> UserRanges:
        return UserRanges(self.layout, self.database)

    @cached_property
    def rootfs(self) -> Rootfs:
        return Rootfs(self.layout, self.layers)

    @cached_property
    def cgroups(self) -> Cgroups:
        return Cgroups.detect(self.layout)

    @cached_property
    def network(self) -> Network:
        return Network(self.layout, self.database)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.layout, self.images, self.layers)

    @cached_property
    def stack(self) -> Stack:
        return Stack(self.layout, self.images, self.layers)
