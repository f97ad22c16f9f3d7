"""Making what runs what the database says: after a crash, a reboot, a killed deploy."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.deploy.draft import of
from paas.deploy.fleet import Member, members
from paas.deploy.pipeline import Pipeline
from paas.deploy.running import Running
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.instance import Instance, InstanceState
from paas.model.settings import BOOT_SECONDS, DRAIN_SECONDS, STOP_SECONDS

DRAIN_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Healing:
    """Single steps towards the desired state, each safe to repeat and to be killed in."""

    pipeline: Pipeline

    def missing(self, app: App) -> list[Member]:
        """The places of the live release's formation that no running instance fills."""
        if not app.can_run or app.live is None:
            return []
        formation = self.pipeline.store.releases.get(app.id, app.live).formation
        filled = {
            Member(one.process_type, one.index)
            for one in self.pipeline.store.instances.list(app.id)
            if one.state.can_serve
        }
        return [member for member in members(formation) if member not in filled]

    def heal(self, app: App, member: Member) -> bool:
        """Start one missing instance of the live release; says whether it was needed.

        Raises `Unhealthy` and the engine's errors when it does not come up.
        """
        lock = self._changing(app)
        if not lock.try_acquire():
            # A deploy is replacing every instance of this app: it fills the place.
            return False
        try:
            return self._heal(self.pipeline.store.apps.by_id(app.id), member)
        finally:
            lock.release()

    def _changing(self, app: App) -> FileLock:
        return self.pipeline.changing(app)

    def _heal(self, app: App | None, member: Member) -> bool:
        if app is None or app.live is None or member not in self.missing(app):
            return False
        parts = self.pipeline
        draft = of(parts.store.releases.get(app.id, app.live))
        started = parts.runner.start_all(app, draft, [member])
        try:
            deadline_s = parts.store.settings.value(BOOT_SECONDS, app.id)
            parts.health.wait(draft, started, deadline_s, lambda _: None)
            self._adopt(app, started[0])
        except BaseException:
            parts.runner.discard(started)
            raise
        parts.router.switch([app])
        return True

    def _adopt(self, app: App, one: Running) -> None:
        store = self.pipeline.store
        with store.transaction():
            restarts = 0
            for crashed in store.instances.list(app.id):
                place = Member(crashed.process_type, crashed.index)
                if crashed.state is InstanceState.CRASHED and place == one.member:
                    restarts = max(restarts, crashed.restarts + 1)
                    store.instances.set_state(crashed.id, InstanceState.RETIRING)
            self.pipeline.adopt(app, app.live or 0, one, None, restarts)

    def crashed(self, instance: Instance) -> App | None:
        """Record that a live instance's container ended, and take it out of the map."""
        store = self.pipeline.store
        current = store.instances.by_container(instance.container)
        app = store.apps.by_id(instance.app_id)
        if current is None or app is None or not current.state.can_serve:
            return None
        store.instances.set_state(instance.id, InstanceState.CRASHED)
        self.pipeline.router.switch([app])
        return app

    def retire(self, instance: Instance) -> None:
        """Let an old instance finish its connections, then stop and remove it.

        It has been out of the map since the commit; it is stopped as soon as no
        connection to it is left, or the drain limit has passed.
        """
        parts = self.pipeline
        settings = parts.store.settings
        began = parts.clock.monotonic()
        while (
            instance.port
            and parts.engine.network.connections(IPv4Address(instance.address)) > 0
            and parts.clock.monotonic() - began < settings.value(DRAIN_SECONDS, instance.app_id)
        ):
            parts.clock.sleep(DRAIN_POLL_SECONDS)
        parts.runner.stop(instance.container, settings.value(STOP_SECONDS, instance.app_id))
        parts.store.instances.remove(instance.id)

    def reap(self) -> list[str]:
        """Remove containers that no row names and whose maker is gone."""
        store, engine = self.pipeline.store, self.pipeline.engine
        garbage = []
        for container in engine.containers.list():
            # In this order: a maker that commits and ends in between has left a row.
            if not container.keeper.alive and store.instances.by_container(container.id) is None:
                engine.containers.remove(container.id)
                garbage.append(container.id)
        return garbage

    def forget_lost(self) -> None:
        """Drop rows whose container is gone altogether, as all are after a reboot."""
        store = self.pipeline.store
        present = {container.id for container in self.pipeline.engine.containers.list()}
        for instance in store.instances.list():
            if instance.container not in present:
                self.pipeline.runner.stop(instance.container, 0)
                store.instances.remove(instance.id)
