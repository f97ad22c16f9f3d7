"""The engine as a whole: its parts, made when first used, over one database."""

from __future__ import annotations

import os
from functools import cached_property
from importlib.resources import files

from paas.engine.attach import Attachments
from paas.engine.build.builder import Builder
from paas.engine.build.buildhost import this_host
from paas.engine.build.cache import Cache
from paas.engine.build.caches import CacheMounts
from paas.engine.build.maker import Tools
from paas.engine.build.mounts import StepMounts
from paas.engine.build.remote import Remotes
from paas.engine.build.run import Runner
from paas.engine.build.workspace import Workspace
from paas.engine.bundler import Bundler
from paas.engine.commit import Commits
from paas.engine.containers import Containers
from paas.engine.events import Journal
from paas.engine.flat import Flat
from paas.engine.foreground import Foreground
from paas.engine.gc import Collector
from paas.engine.images import Image, Images
from paas.engine.layers import Layers
from paas.engine.network.network import Network
from paas.engine.observe import Observer
from paas.engine.outside import Outside
from paas.engine.probes import Probes
from paas.engine.pulledstacks import PulledStacks
from paas.engine.reference import parse_reference
from paas.engine.registry import Registry
from paas.engine.restarts import Restarts
from paas.engine.rootfs import Rootfs
from paas.engine.stack import Stack
from paas.engine.transfer import Transfer
from paas.engine.userns import BUILD_OWNER, UserRanges
from paas.host.cgroups import Cgroups
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database
from paas.model.layout import Layout
from paas.model.report import Report


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
    def bundler(self) -> Bundler:
        return Bundler(
            self.layout, self.rootfs, self.ranges, self.network, self.cgroups, self.clock
        )

    @cached_property
    def containers(self) -> Containers:
        return Containers(self.bundler, self.images, self.clock)

    @cached_property
    def events(self) -> Journal:
        """What happened to containers."""
        return self.bundler.events

    @cached_property
    def attachments(self) -> Attachments:
        return Attachments(self.bundler, self.containers)

    @cached_property
    def transfer(self) -> Transfer:
        """Copies files into and out of containers."""
        return Transfer(self.bundler, self.containers, self.rootfs)

    @cached_property
    def commits(self) -> Commits:
        """What containers changed, and images made of that."""
        return Commits(
            self.bundler, self.containers, self.images, self.layers, self.rootfs, self.clock
        )

    @cached_property
    def probes(self) -> Probes:
        """The health checks of images."""
        return Probes(self.bundler, self.containers, self.foreground, self.clock)

    @cached_property
    def restarts(self) -> Restarts:
        """Containers that are started again when they end; for one supervisor."""
        return Restarts(self.bundler, self.containers, self.clock)

    @cached_property
    def observer(self) -> Observer:
        """What containers are, run and use."""
        return Observer(self.bundler, self.containers, self.probes)

    @cached_property
    def network(self) -> Network:
        return Network(self.layout, self.database)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.layout, self.images, self.layers, self.outside)

    @cached_property
    def outside(self) -> Outside:
        """What fetches from addresses that apps name."""
        return Outside(self.layout, self.network)

    @cached_property
    def flat(self) -> Flat:
        return Flat(self.layout, self.images, self.layers, self.rootfs)

    @cached_property
    def stack(self) -> Stack:
        return Stack(self.layout, self.images, self.layers, self.rootfs)

    @cached_property
    def pulled_stacks(self) -> PulledStacks:
        """Stacks that a registry has."""
        workspace = Workspace(self.layout, self.layers, self.rootfs)
        return PulledStacks(self.images, self.layers, self.registry, workspace)

    @cached_property
    def foreground(self) -> Foreground:
        return Foreground(self.bundler, self.images)

    @cached_property
    def builder(self) -> Builder:
        # What the host says about proxies and mirrors is asked when a step first runs.
        runner = Runner(self.layout, self.layers, self.foreground, lambda: this_host(os.environ))
        workspace = Workspace(self.layout, self.layers, self.rootfs)
        tools = Tools(
            Cache(self.layout, self.database, self.layers, self.clock),
            workspace,
            runner,
            StepMounts(self.layout, workspace, self.rootfs, self.ranges, self.caches),
            Remotes(self.layout, self.outside, self.layers),
        )
        return Builder(
            self.images, self.layers, tools, self._base_image, self.clock, self._end_thread
        )

    @cached_property
    def caches(self) -> CacheMounts:
        """What `RUN --mount=type=cache` keeps between builds."""
        return CacheMounts(self.layout, self.database, self.clock)

    @cached_property
    def collector(self) -> Collector:
        return Collector(self.layout, self.images, self.layers)

    def recover(self) -> None:
        """Remove what killed processes and a restart of the machine left; for one supervisor.

        What builds left stays while another is under way: `builder.recover` is for later.
        """
        self.cgroups.prepare()
        for given_up in self.ranges.settle(self.rootfs.is_used):
            self.rootfs.release(given_up)
        # Before the first build wants it; a disk that cannot be used is found out now.
        self.rootfs.idmapped(self.ranges.range_for(BUILD_OWNER))
        self.containers.recover()
        self.builder.recover()
        self.bundler.reserved.settle()

    def _end_thread(self) -> None:
        self.database.close()
        self.network.end_thread()

    def forget(self, owner: str) -> None:
        """Give back what an owner without containers and files has: ids, and mounts of them."""
        user_range = self.ranges.find(owner)
        if user_range is not None:
            self.rootfs.release(user_range)
            self.ranges.release(owner)

    def _base_image(self, ref: str, report: Report) -> Image:
        """An image that is not here: below `paas/` are the stacks, made on this server."""
        if parse_reference(ref).local:
            return self.stack.ensure(ref, report)
        return self.registry.pull(ref, report)
