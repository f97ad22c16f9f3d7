"""Freeing what is no longer needed: releases, images, layers, logs, deploys, events."""

from __future__ import annotations

from dataclasses import dataclass, replace

from paas.deploy import applogs
from paas.deploy.attempt import Attempts
from paas.deploy.buildpack_clones import BuildpackClones
from paas.deploy.repository import Repository
from paas.deploy.running import log_directory
from paas.engine.engine import Engine
from paas.engine.gc import Collected
from paas.engine.layers import LayerId
from paas.host.files import remove_tree
from paas.model.app import App
from paas.model.cron import RETAIN_RUNS
from paas.model.layout import Layout
from paas.model.logsettings import (
    EVENTS_AGE,
    EVENTS_COUNT,
    RETAIN_AGE,
    RETAIN_COUNT,
    RETAIN_SIZE,
)
from paas.model.settings import KEEP_RELEASES
from paas.store.store import Store

KEPT_DEPLOYS = 20
"""Of one app: the newest deploys whose output and times are kept."""

CACHE_SECONDS = 14 * 86400.0
"""How long a build step that nobody used stays in the layer cache, and a buildpack of others."""


@dataclass(frozen=True)
class Housekeeping:
    """Run now and then by the supervisor; each part can be killed and repeated."""

    layout: Layout
    store: Store
    engine: Engine
    attempts: Attempts

    def run(self) -> Collected | None:
        """Free what can be; None when the engine was busy building, for another time."""
        for app in self.store.apps.list():
            self.store.releases.keep(app.id, self.store.settings.value(KEEP_RELEASES, app.id))
            self._prune_logs(app)
            self._prune_deploys(app)
            self._pack(app)
        self._prune_events()
        return self.collect()

    def _prune_events(self) -> None:
        value = self.store.settings.value
        oldest = self.engine.clock.now() - value(EVENTS_AGE)
        self.store.events.keep(count=value(EVENTS_COUNT), oldest=oldest)

    def _prune_logs(self, app: App) -> None:
        directory, settings = log_directory(self.layout, app.id), self.store.settings
        running = {one.id for one in self.engine.containers.list()}
        running |= {one.container for one in self.store.instances.list(app.id)}
        found = applogs.ended(directory, running)
        self.store.cron.retain(app.id, settings.value(RETAIN_RUNS, app.id))
        # Apart from the others': what runs each minute pushes no instance's out.
        runs = {run.container for run in self.store.cron.history(app.id)}
        for paths, count in (
            ([path for path in found if applogs.container_of(path) in runs], len(runs)),
            (
                [path for path in found if applogs.container_of(path) not in runs],
                settings.value(RETAIN_COUNT, app.id),
            ),
        ):
            applogs.prune(
                paths,
                count=count,
                size=settings.value(RETAIN_SIZE, app.id),
                oldest=self.engine.clock.now() - settings.value(RETAIN_AGE, app.id),
            )
        kept = {applogs.container_of(path) for path in directory.glob("*.log")}
        self.store.instances.forget_releases(app.id, kept | running)

    def _prune_deploys(self, app: App) -> None:
        ended = [one for one in self.store.deploys.list(app.id) if one.stage.finished]
        for deploy in ended[KEPT_DEPLOYS:]:
            remove_tree(self.attempts.directory(deploy.id))

    def _pack(self, app: App) -> None:
        """Between two deploys, which read the repository."""
        turn = self.attempts.exclusive(app, "housekeeping")
        if turn.try_acquire():
            try:
                Repository(self.layout, app.id).pack()
            finally:
                turn.release()

    def collect(self) -> Collected | None:
        """Remove images and layers that nothing needs, and others' buildpacks that no build used
        for long; None when the engine was busy.
        """
        self.engine.builder.tools.cache.prune(CACHE_SECONDS)
        self.engine.caches.prune(unused_s=CACHE_SECONDS)
        self.prune_downloads(CACHE_SECONDS)
        freed = BuildpackClones(self.layout).prune(CACHE_SECONDS, self.engine.clock.now())
        done = self.engine.collector.collect(images=self.needed, layers=self.needed_layers)
        return replace(done, bytes=done.bytes + freed) if done is not None else None

    def prune_downloads(self, unused_s: float) -> int:
        """Remove files of URLs that no build asked for within so many seconds; how many bytes.

        What builds made of them stays in their cache.
        """
        downloads = self.engine.builder.tools.remotes.downloads
        return downloads.prune(unused_s, self.engine.clock.now())

    def needed(self) -> set[str]:
        """The images of releases that are kept, of services, of plugins, and of containers."""
        used = {container.image for container in self.engine.containers.list()}
        kept = self.store.services.images() | self.store.plugins.images()
        return self.store.releases.images() | kept | used

    def needed_layers(self) -> set[LayerId]:
        """The layers of the build cache, and those that containers stand on."""
        cached = self.engine.builder.tools.cache.layers(CACHE_SECONDS)
        return cached | self.engine.rootfs.stood_on()
