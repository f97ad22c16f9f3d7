"""Probing containers by their images' HEALTHCHECK, and keeping what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from paas.engine import healthcheck
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler
from paas.engine.call import RanTooLong
from paas.engine.config import Healthcheck
from paas.engine.container import ContainerNotFound, State
from paas.engine.containers import Containers
from paas.engine.foreground import Foreground
from paas.engine.healthcheck import Health, Plan
from paas.engine.runtime import RuntimeFailed
from paas.host.clock import Clock

COULD_NOT_RUN = 126
"""The exit code of a probe that the runtime refused, as of a shell's."""


@dataclass(frozen=True)
class Probes:
    """The health checks of one engine's containers."""

    bundler: Bundler
    containers: Containers
    foreground: Foreground
    clock: Clock

    def plan(self, container_id: str) -> Plan | None:
        """How it is to be probed; None for one without a HEALTHCHECK."""
        return _plan(self.bundler.bundles.of(container_id))

    def health(self, container_id: str) -> Health | None:
        """What is known of its health; None for one without a HEALTHCHECK."""
        bundle = self.bundler.bundles.of(container_id)
        return None if _plan(bundle) is None else _health(bundle)

    def due(self) -> list[tuple[float, str]]:
        """The running containers that have a HEALTHCHECK, with the time (epoch) of their
        next probe, the earliest first."""
        found: list[tuple[float, str]] = []
        for bundle in self.bundler.bundles:
            plan = _plan(bundle)
            # Most have none: nothing more is read of those, at each look of the supervisor.
            live = bundle.live() if plan is not None else None
            if plan is None or live is None or live.started_at is None:
                continue
            if bundle.exit_code() is None:
                at = healthcheck.due(plan, _health(bundle), live.started_at)
                found.append((at, bundle.id))
        return sorted(found)

    def probe(self, container_id: str) -> Health | None:
        """Run its check now and keep the outcome; None for a container without one.

        One that does not run is not probed. Raises `ContainerNotFound`.
        """
        bundle = self.bundler.bundles.of(container_id)
        plan = _plan(bundle)
        if plan is None:
            return None
        before, status = _health(bundle), self.containers.status(container_id)
        if status.state is not State.RUNNING or status.started_at is None:
            return before
        began = self.clock.now()
        code, output = self._run(container_id, plan)
        age = began - status.started_at
        after = healthcheck.after_probe(plan, before, code, output, at=self.clock.now(), age=age)
        return self._keep(bundle, before, after)

    def _run(self, container_id: str, plan: Plan) -> tuple[int | None, str]:
        said: list[bytes] = []
        try:
            code = self.foreground.exec_reported(
                container_id, plan.argv, said.append, timeout_s=plan.timeout
            )
        except RanTooLong as error:
            return None, error.brief
        except RuntimeFailed as error:
            return COULD_NOT_RUN, str(error)
        return int(code), b"".join(said).decode("utf-8", "replace")

    def _keep(self, bundle: Bundle, before: Health, after: Health) -> Health:
        try:
            bundle.write_health(after.to_json())
        except FileNotFoundError:
            raise ContainerNotFound(bundle.id) from None
        if after.condition is not before.condition:
            self.bundler.events.add("health_status", bundle.id, status=after.condition.value)
        return after


def _plan(bundle: Bundle) -> Plan | None:
    record = bundle.record()
    if record is None or record.healthcheck is None:
        return None
    return healthcheck.plan_of(Healthcheck.from_json(record.healthcheck))


def _health(bundle: Bundle) -> Health:
    document = bundle.health()
    return Health() if document is None else Health.from_json(document)
