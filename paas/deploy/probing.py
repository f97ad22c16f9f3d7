"""Asking what runs its checks once, because somebody wants to know."""

from __future__ import annotations

from dataclasses import dataclass

from paas.deploy.checks import Checks
from paas.deploy.pipeline import Pipeline
from paas.deploy.probe import running
from paas.model.app import App
from paas.model.instance import Instance
from paas.model.report import Report


@dataclass(frozen=True)
class Probing:
    """`checks:run`: nothing is changed by it."""

    pipeline: Pipeline

    def once(self, app: App, process: str | None, report: Report) -> int:
        """Ask each serving instance, of one process type or of all; the number of faults."""
        serving = [
            one
            for one in self.pipeline.store.instances.list(app.id)
            if one.state.can_serve and process in (None, one.process_type)
        ]
        if not serving:
            report.warn(f"Nothing of {app.name} is running")
            return 1
        return sum(self._ask(app, one, report) for one in serving)

    def _ask(self, app: App, instance: Instance, report: Report) -> int:
        draft = self.pipeline.drafts.live(app)
        host = self.pipeline.boot(app, draft).host
        checks = Checks(self.pipeline.engine)
        report.step(f"Running checks for {instance.name}")
        asked = checks.at_start(draft, instance.process_type, host, instance.container)
        asked = [*asked, *checks.running(draft, instance.process_type, host)]
        age_s = self.pipeline.clock.now() - instance.created_at
        faults = 0
        for wanted in dict.fromkeys(asked):
            fault = wanted.check.fault(running(instance), age_s)
            if fault is None:
                report.detail(f"{wanted.name}: passed")
            else:
                faults += not wanted.declared.warn
                report.warn(f"{instance.name}: {wanted.name}: {fault}")
        return faults
