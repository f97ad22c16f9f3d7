"""Process types whose old and new instances may not run at once: the old ones stop first.

It is the one step of a deploy before its commit point that what serves can feel. When the
deploy fails behind it, or is killed, the supervisor starts the old release's instances
again: their places are missing as soon as the deploy that holds their types has ended.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from paas.deploy.attempt import Attempt
from paas.deploy.fleet import Plan
from paas.deploy.route import Router
from paas.deploy.running import Runner
from paas.model.app import App
from paas.model.instance import Instance, InstanceState
from paas.model.processes import CHECKS, STOP_TIMEOUT, UPDATE_ORDER, Checks, UpdateOrder
from paas.store.store import Store

PARALLEL_STOPS = 16


@dataclass(frozen=True)
class Handover:
    """Finds and stops the old instances that have to go first."""

    store: Store
    runner: Runner
    router: Router

    def held(self, app: App, todo: Plan) -> set[str]:
        """The process types that have instances to stop before new ones are started."""
        replaced = {one.process_type for one in todo.retire}
        starting = {one.process_type for one in todo.start}
        return {kind for kind in replaced & starting if self._stops_first(app, kind)}

    def _stops_first(self, app: App, process_type: str) -> bool:
        value = self.store.processes.value
        return (
            value(UPDATE_ORDER, app.id, process_type) is UpdateOrder.STOP_FIRST
            or value(CHECKS, app.id, process_type) is Checks.DISABLED
        )

    def stop(self, attempt: Attempt, held: set[str], todo: Plan) -> None:
        """Stop the old instances of the types that are `held`, all at once."""
        old = [one for one in todo.retire if one.process_type in held]
        attempt.report.step(f"Stopping {', '.join(sorted(held))} before the new release starts")
        with self.store.transaction():
            self.store.deploys.hold(attempt.deploy.id, held)
            for instance in old:
                self.store.instances.set_state(instance.id, InstanceState.RETIRING)
        self.router.switch([attempt.app])
        with ThreadPoolExecutor(PARALLEL_STOPS) as pool:
            for stopped in [pool.submit(self._stop, one) for one in old]:
                stopped.result()

    def _stop(self, instance: Instance) -> None:
        """Whoever comes second, the supervisor or we, finds it gone."""
        grace_s = self.store.processes.value(STOP_TIMEOUT, instance.app_id, instance.process_type)
        self.runner.stop(instance.container, grace_s)
        self.store.instances.remove(instance.id)
