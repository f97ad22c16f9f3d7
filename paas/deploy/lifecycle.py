"""Destroying and renaming apps, and the domains they answer to."""

from __future__ import annotations

from dataclasses import dataclass

from paas.deploy.attempt import Attempts
from paas.deploy.pipeline import Pipeline
from paas.deploy.route import service_key
from paas.deploy.running import log_directory, owner_of
from paas.deploy.wake import wake_supervisor
from paas.host.files import remove_tree
from paas.model.app import App
from paas.model.report import Report


@dataclass(frozen=True)
class Lifecycle:
    """What happens to an app as a whole."""

    pipeline: Pipeline
    attempts: Attempts

    def destroy(self, app: App, *, actor: str, report: Report) -> None:
        """Stop and forget an app with all that is its own: repository, logs, addresses.

        Its images stay until the collector finds that nobody uses them. Killed half-way,
        the supervisor reaps containers without a row, and a second call ends the rest.
        """
        parts = self.pipeline
        with self.attempts.exclusive(app, f"destroyed by {actor}"), parts.changing(app):
            instances = parts.store.instances.list(app.id)
            deploys = parts.store.deploys.list(app.id)
            parts.engine.network.service(service_key(app.id))
            parts.engine.network.set_backends({service_key(app.id): ()})
            with parts.store.transaction():
                parts.store.apps.destroy(app.name)
                parts.store.events.add(actor, app.name, "destroyed")
            parts.router.publish(report)
            for instance in instances:
                parts.runner.stop(instance.container, 0)
            parts.engine.network.release_service(service_key(app.id))
            parts.engine.ranges.release(owner_of(app.id))
            remove_tree(parts.layout.repo(app.id))
            remove_tree(log_directory(parts.layout, app.id))
            for deploy in deploys:
                remove_tree(self.attempts.directory(deploy.id))
        wake_supervisor(parts.layout)

    def forget(self, app: App) -> None:
        """Remove an app that was made for a push and never got anything to deploy."""
        self.pipeline.store.apps.destroy(app.name)
        remove_tree(self.pipeline.layout.repo(app.id))

    def rename(self, app: App, new: str, *, actor: str, report: Report) -> App:
        """Give an app another name and address at once; nothing is rebuilt or restarted."""
        parts = self.pipeline
        with parts.store.transaction():
            renamed = parts.store.apps.rename(app.name, new)
            parts.store.events.add(actor, new, "renamed", f"from {app.name}")
        parts.router.publish(report)
        return renamed

    def add_domain(self, app: App, name: str, *, actor: str, report: Report) -> None:
        """Answer to `name` too. Raises `DomainTaken`, which names the owner."""
        with self.pipeline.store.transaction():
            self.pipeline.store.domains.add(app.id, name)
            self.pipeline.store.events.add(actor, app.name, "domain added", name)
        self.pipeline.router.publish(report)

    def remove_domain(self, app: App, name: str, *, actor: str, report: Report) -> None:
        """No longer answer to `name`."""
        with self.pipeline.store.transaction():
            self.pipeline.store.domains.remove(app.id, name)
            self.pipeline.store.events.add(actor, app.name, "domain removed", name)
        self.pipeline.router.publish(report)
