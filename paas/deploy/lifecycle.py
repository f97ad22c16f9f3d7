"""Destroying and renaming apps."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from paas.deploy.attempt import Attempts
from paas.deploy.build import cache_scope
from paas.deploy.buildpacks import cache_volume
from paas.deploy.compile import Compiler
from paas.deploy.pipeline import Pipeline
from paas.deploy.repository import Repository
from paas.deploy.running import log_directory, owner_of
from paas.deploy.wake import wake_supervisor
from paas.host.files import remove_tree
from paas.model.app import App
from paas.model.report import Report, Silent

USERS_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Lifecycle:
    """What happens to an app as a whole."""

    pipeline: Pipeline
    attempts: Attempts

    def destroy(self, app: App, *, actor: str, report: Report) -> None:
        """Stop and forget an app with all that is its own: repository, logs, addresses.

        Its images stay until the collector finds that nobody uses them. Killed half-way,
        the rest is removed by `sweep`.
        """
        parts = self.pipeline
        parts.asking.pre_destroy(app, actor, report)
        with self.attempts.exclusive(app, f"destroyed by {actor}"):
            with parts.store.transaction():
                # Anew: it may have been renamed meanwhile, and another app have its name.
                current = parts.store.apps.current(app)
                parts.store.events.add(actor, current.name, "destroyed")
                self._drop(current)
            while not self._clear(app.id, report):
                parts.clock.sleep(USERS_POLL_SECONDS)
        wake_supervisor(parts.layout)

    def sweep(self, report: Report) -> None:
        """Remove what killed destructions of apps and killed pushes left."""
        for path in self.pipeline.layout.repos.glob("*.git"):
            app_id = int(path.stem)
            if self.pipeline.store.apps.by_id(app_id) is None:
                self._clear(app_id, report)
            else:
                Repository(self.pipeline.layout, app_id).sweep()

    def _drop(self, app: App) -> None:
        """Delete an app's row, in a transaction; the rest is `_clear`."""
        # By its directory `sweep` finds the rest, also of an app that was never pushed to.
        Repository(self.pipeline.layout, app.id).make_directory()
        self.pipeline.store.apps.destroy(app)
        # In here: behind it somebody else may have the name, and read them.
        self.pipeline.router.forget_logs(app)

    def _clear(self, app_id: int, report: Report) -> bool:
        """Remove all that belongs to an app without a row; again is harmless.

        Says whether it could: one-offs and starts under way end first, since their
        containers do.
        """
        parts = self.pipeline
        self._end_containers(app_id)
        nobody = parts.using(app_id, alone=True)
        if not nobody.try_acquire():
            return False
        try:
            self._end_containers(app_id)
            # In this order: its addresses are another's as soon as they are given back.
            parts.router.publish(report)
            parts.router.forget(app_id)
            parts.engine.network.forget_links(owner_of(app_id))
            parts.router.naming.publish()
            parts.engine.forget(owner_of(app_id))
            remove_tree(log_directory(parts.layout, app_id))
            Compiler(parts.engine).forget_cache(cache_volume(app_id))
            parts.engine.caches.prune(cache_scope(app_id))
            self.attempts.free()
            # Last: by it `sweep` knows that there is something left.
            remove_tree(parts.layout.repo(app_id))
        finally:
            nobody.release()
        return True

    def _end_containers(self, app_id: int) -> None:
        containers = self.pipeline.engine.containers
        for container in containers.list():
            if container.owner == owner_of(app_id):
                containers.remove(container.id)

    def purge_cache(self, app: App, *, actor: str, report: Report) -> int:
        """Remove the cache mounts of an app, and its buildpacks' CACHE_DIR; the bytes.

        A deploy under way, whose build may have it open, ends first.
        """
        engine, volume = self.pipeline.engine, cache_volume(app.id)
        turn = self.attempts.exclusive(app, f"purge of the cache by {actor}")
        if not turn.try_acquire():
            report.step(f"Waiting for {turn.holder()} of {app.name}")
            turn.acquire()
        try:
            freed = Compiler(engine).forget_cache(volume)
            return freed + engine.caches.prune(cache_scope(app.id))
        finally:
            turn.release()

    def forget(self, app: App) -> None:
        """Remove an app that was made for a push and never got anything to deploy.

        One of which somebody has set anything meanwhile stays: each change is an event.
        """
        store = self.pipeline.store
        with store.transaction():
            current, told = store.apps.by_id(app.id), store.events.tail(1, app.name)
            if current != app or [event.what for event in told] != ["created"]:
                return
            self._drop(current)
        self._clear(app.id, Silent())

    def rename(self, app: App, new: str, *, actor: str, report: Report) -> App:
        """Give an app another name and address at once; nothing is rebuilt or restarted."""
        parts = self.pipeline
        with ExitStack() as undo:
            with parts.store.transaction():
                current = parts.store.apps.current(app)
                renamed = parts.store.apps.rename(current, new)
                parts.store.events.add(actor, new, "renamed", f"from {current.name}")
                # In here: nobody serves the new name yet, and nobody has the old one.
                parts.router.rename_logs(current, new)
                undo.callback(parts.router.rename_logs, renamed, current.name)
            undo.pop_all()
        parts.router.naming.publish()
        parts.router.publish(report)
        return renamed
