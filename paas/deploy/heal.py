"""Making what runs what the database says: after a crash, a reboot, a killed deploy."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from paas.deploy.draft import of
from paas.deploy.fleet import Member, members, place_of
from paas.deploy.orphans import reap
from paas.deploy.pipeline import Pipeline
from paas.deploy.running import Running, owner_of
from paas.engine.container import ContainerNotFound
from paas.model.app import App
from paas.model.instance import Instance, InstanceState
from paas.model.processes import RESTART_POLICY, STOP_TIMEOUT
from paas.model.report import Silent
from paas.model.settings import DRAIN_SECONDS
from paas.store.releases import ReleaseNotFound


@dataclass(frozen=True)
class Crash:
    """An instance of an app ended by itself; `restarts` says that it is started again."""

    app: App
    restarts: bool


@dataclass(frozen=True)
class Healing:
    """Single steps towards the desired state, each safe to repeat and to be killed in."""

    pipeline: Pipeline

    def missing(self, app: App) -> list[Member]:
        """The places of the live release's formation that no running instance fills."""
        if not app.can_run or app.live is None:
            return []
        try:
            formation = self.pipeline.store.releases.get(app.id, app.live).formation
        except ReleaseNotFound:
            # The app was destroyed since it was looked up.
            return []
        store = self.pipeline.store
        held = store.deploys.held(app.id)
        filled = {place_of(one) for one in store.instances.list(app.id) if one.state.is_settled}
        return [
            member
            for member in members(formation)
            if member not in filled and member.process_type not in held
        ]

    def heal(self, app: App, member: Member) -> bool:
        """Start one missing instance of the live release; says whether it serves now.

        It does not wait for a deploy of the app, nor the deploy for it: who commits second
        sees what the first one did. Raises `Unhealthy` and the engine's errors when the
        instance does not come up.
        """
        with self.pipeline.using(app.id):
            return self._lacks(app, member) and self._start(app, member)

    def _lacks(self, app: App, member: Member) -> bool:
        """Whether the release that is live in `app` still is, and misses `member`."""
        current = self.pipeline.store.apps.by_id(app.id)
        return current is not None and current.live == app.live and member in self.missing(current)

    def _start(self, app: App, member: Member) -> bool:
        parts = self.pipeline
        # A heal of the same place that was killed may have left one, and both may not overlap.
        reap(parts.store, parts.engine, owner_of(app.id))
        draft = of(parts.store.releases.get(app.id, app.live or 0))
        started = parts.runner.start_all(app, draft, [member])
        adopted = False
        try:
            parts.health.wait(draft, started, parts.boot(app, draft), Silent())
            adopted = self._adopt(app, started[0])
        finally:
            if not adopted:
                parts.runner.discard(started)
        if adopted:
            parts.router.switch([app])
        return adopted

    def _adopt(self, app: App, one: Running) -> bool:
        """Make it an instance of the app, unless a deploy or a stop was faster."""
        store = self.pipeline.store
        with store.transaction():
            if not self._lacks(app, one.member):
                return False
            restarts = 0
            for crashed in store.instances.list(app.id):
                if crashed.state is InstanceState.CRASHED and place_of(crashed) == one.member:
                    restarts = max(restarts, crashed.restarts + 1)
                    store.instances.set_state(crashed.id, InstanceState.RETIRING)
            self.pipeline.adopt(app, app.live or 0, one, None, restarts)
        return True

    def crashed(self, instance: Instance, exit_code: int | None = None) -> Crash | None:
        """Record that a live instance's container ended, and take it out of the map.

        `exit_code` is None when nobody saw it. None when it was no live instance any more.
        """
        store = self.pipeline.store
        with store.transaction():
            current = store.instances.by_container(instance.container)
            app = store.apps.by_id(instance.app_id)
            if current is None or app is None or not current.state.can_serve:
                return None
            policy = store.processes.value(RESTART_POLICY, app.id, current.process_type)
            # One that was stopped for its health has failed, however politely it ended.
            again = policy.restarts(exit_code if current.ready else None, current.restarts)
            state = InstanceState.CRASHED if again else InstanceState.EXITED
            store.instances.set_state(instance.id, state)
        self.pipeline.router.switch([app])
        with suppress(ContainerNotFound):
            # Without its monitor it may still run, beside the one that takes its place.
            self.pipeline.engine.containers.kill(instance.container)
        return Crash(app, again)

    def retire(self, instance: Instance) -> None:
        """Let an old instance finish its connections, then stop and remove it.

        It is stopped as soon as no connection to it is left, or the drain limit has passed.
        """
        parts, settings = self.pipeline, self.pipeline.store.settings
        if parts.router.leads_to(instance):
            # The deploy committed and has not come to the map yet, or was killed there.
            parts.router.switch(parts.store.apps.list())
        drain_s = settings.value(DRAIN_SECONDS, instance.app_id)
        if instance.port and (pid := self._runs_as(instance)):
            parts.engine.network.drain(pid, drain_s)
        stop_s = parts.store.processes.value(STOP_TIMEOUT, instance.app_id, instance.process_type)
        parts.runner.stop(instance.container, stop_s)
        parts.store.instances.remove(instance.id)

    def _runs_as(self, instance: Instance) -> int:
        """Its first process; 0 when it has ended."""
        try:
            status = self.pipeline.engine.containers.status(instance.container)
        except ContainerNotFound:
            return 0
        return 0 if status.state.has_ended else status.pid

    def reap(self) -> None:
        """Remove what killed deploys and heals left."""
        reap(self.pipeline.store, self.pipeline.engine)

    def forget_lost(self) -> None:
        """Drop rows whose container is gone altogether, as all are after a reboot."""
        store = self.pipeline.store
        # In this order: a deploy that commits in between has made its container before.
        instances = store.instances.list()
        present = {container.id for container in self.pipeline.engine.containers.list()}
        for instance in instances:
            if instance.container not in present:
                self.pipeline.runner.stop(instance.container, 0)
                store.instances.remove(instance.id)
