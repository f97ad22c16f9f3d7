"""Asking the instances of an app, as long as they serve, whether they are ready and alive.

The words are Kubernetes': an instance that is not ready is sent no requests until it is
again; one that is not alive is stopped, and started again as one that crashed. A failure
counts after `attempts` in a row, `wait` seconds apart; one success ends the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from paas.deploy.checks import Checks, Wanted
from paas.deploy.draft import Draft, of
from paas.deploy.fleet import place_of
from paas.deploy.pipeline import Pipeline
from paas.deploy.running import Running
from paas.engine.container import ContainerNotFound
from paas.model.app import App
from paas.model.health import Probe
from paas.model.instance import Instance
from paas.model.processes import CHECKS, STOP_TIMEOUT
from paas.model.processes import Checks as Mode
from paas.store.releases import ReleaseNotFound

LEAST_WAIT_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""How often it is looked which instances there are."""

PARALLEL = 8
ACTOR = "supervisor"


@dataclass
class Row:
    """A check of one instance, and its failures in a row. Times are of the monotonic clock."""

    wanted: Wanted
    due: float
    failures: int = 0
    fault: str = ""

    @property
    def failed(self) -> bool:
        """It counts."""
        return self.failures >= self.wanted.declared.tries

    def look(self, running: Running, age_s: float, now: float) -> None:
        """Ask once, and say when to ask again."""
        fault = self.wanted.check.fault(running, age_s)
        self.failures = self.failures + 1 if fault else 0
        self.fault = fault or ""
        self.due = now + max(self.wanted.declared.wait_s, LEAST_WAIT_SECONDS)


@dataclass
class Probed:
    """One instance and its checks."""

    instance: Instance
    running: Running
    rows: list[Row]

    def fault(self, probe: Probe) -> str | None:
        """What keeps it from being ready or alive, if anything does."""
        for row in self.rows:
            declared = row.wanted.declared
            if row.failed and declared.probe is probe and not declared.warn:
                return f"{row.wanted.name}: {row.fault}"
        return None


@dataclass
class Prober:
    """Probes the live release of an app until another one is live, or nothing is left."""

    pipeline: Pipeline
    _known: dict[str, Probed] = field(default_factory=dict)
    _declared: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)

    def concerns(self, app: App) -> bool:
        """Whether the app's live release declares anything to probe."""
        return app.can_run and bool(self._types(app.id, app.live or 0))

    def _types(self, app_id: int, number: int) -> frozenset[str]:
        """The process types that a release, which never changes, wants probed."""
        found = self._declared.get((app_id, number))
        if found is None:
            # Of each app the newest look is worth keeping.
            for key in [key for key in self._declared if key[0] == app_id]:
                del self._declared[key]
            found = self._declared[app_id, number] = self._declaring(app_id, number)
        return found

    def _declaring(self, app_id: int, number: int) -> frozenset[str]:
        try:
            health = self.pipeline.store.releases.get(app_id, number).health
        except ReleaseNotFound:
            return frozenset()
        return frozenset(
            kind
            for kind, checks in health.items()
            if any(one.probe is not Probe.STARTUP for one in checks)
        )

    def run(self, app: App) -> None:
        """Probe until the live release is another one. Blocks; for a process of its own."""
        clock = self.pipeline.clock
        draft = of(self.pipeline.store.releases.get(app.id, app.live or 0))
        with ThreadPoolExecutor(PARALLEL) as pool:
            while self._look(app, draft):
                now = clock.monotonic()
                for done in [pool.submit(self._probe, one, now) for one in self._known.values()]:
                    done.result()
                for one in list(self._known.values()):
                    self._act(app, one)
                clock.sleep(self._pause(clock.monotonic()))

    def _look(self, app: App, draft: Draft) -> bool:
        """See which instances there are; says whether to go on."""
        store = self.pipeline.store
        current = store.apps.by_id(app.id)
        if current is None or current.live != app.live or not current.can_run:
            return False
        probed = self._types(app.id, app.live or 0)
        enabled = {
            kind for kind in probed if store.processes.value(CHECKS, app.id, kind) is Mode.ENABLED
        }
        present = {
            one.container: one
            for one in store.instances.list(app.id)
            if one.state.can_serve and one.process_type in enabled
        }
        for container in self._known.keys() - present.keys():
            del self._known[container]
        for container, instance in present.items():
            if container in self._known:
                self._known[container].instance = instance
            else:
                self._known[container] = self._begin(current, draft, instance)
        return True

    def _begin(self, app: App, draft: Draft, instance: Instance) -> Probed:
        checks: Sequence[Wanted] = Checks(self.pipeline.engine).running(
            draft, instance.process_type, self.pipeline.router.host(app)
        )
        now = self.pipeline.clock.monotonic()
        rows = [Row(one, now + one.declared.initial_delay_s) for one in checks]
        return Probed(instance, running(instance), rows)

    def _probe(self, one: Probed, now: float) -> None:
        age_s = self.pipeline.clock.now() - one.instance.created_at
        for row in one.rows:
            if row.due <= now:
                row.look(one.running, age_s, now)

    def _act(self, app: App, one: Probed) -> None:
        store = self.pipeline.store
        dead, fault = one.fault(Probe.LIVENESS), one.fault(Probe.READINESS)
        ready = dead is None and fault is None
        if ready != one.instance.ready:
            what = "ready again" if ready else "not ready"
            why = f"{place_of(one.instance)}: {dead or fault or 'its checks hold'}"
            with store.transaction():
                store.instances.set_ready(one.instance.id, ready=ready)
                store.events.add(ACTOR, app.name, what, why)
            self.pipeline.router.switch([app])
        if dead is not None:
            store.events.add(ACTOR, app.name, "not alive", f"{place_of(one.instance)}: {dead}")
            self._stop(one.instance)
            del self._known[one.instance.container]

    def _stop(self, instance: Instance) -> None:
        """What follows is what follows a crash: the supervisor sees it end."""
        grace_s = self.pipeline.store.processes.value(
            STOP_TIMEOUT, instance.app_id, instance.process_type
        )
        try:
            self.pipeline.engine.containers.stop(instance.container, grace_s)
        except ContainerNotFound:
            return

    def _pause(self, now: float) -> float:
        due = [row.due for one in self._known.values() for row in one.rows]
        return min(
            max(min(due, default=now + LOOK_SECONDS) - now, LEAST_WAIT_SECONDS), LOOK_SECONDS
        )


def running(instance: Instance) -> Running:
    """An instance as checks know it."""
    return Running(
        member=place_of(instance),
        container=instance.container,
        pid=0,
        address=IPv4Address(instance.address),
        port=instance.port,
        log=Path(),
    )
