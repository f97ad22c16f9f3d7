"""Waiting until new instances are healthy: the first successful check ends the wait."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import dataclass, field

from paas.deploy.checks import Checks, Command, Probed, Wanted
from paas.deploy.draft import Draft
from paas.deploy.explain import Explainer
from paas.deploy.running import Running
from paas.engine.engine import Engine
from paas.host.clock import Clock
from paas.model.report import Report

FIRST_POLL_MS = 5.0
LAST_POLL_MS = 50.0
POLL_GROWTH = 1.25
"""Between two rounds of checks: short at first, since many apps boot at once or not at all,
and short again when one of them says something new. What is lost is a fraction of the wait.
"""

COMMAND_SECONDS = 0.25
"""Between two runs of a check that is a program: each is a process in the container."""


@dataclass(frozen=True)
class Boot:
    """How new instances of an app are waited for.

    `skipped` are the process types without checks, `host` what HTTP checks ask for.
    """

    deadline_s: float
    skipped: frozenset[str] = frozenset()
    host: str = ""


@dataclass
class Pending:
    """A check that has yet to be passed."""

    wanted: Wanted
    deadline_s: float
    fault: str = ""
    changed: bool = False
    not_before_s: float = 0.0

    def holds(self, running: Running, age_s: float) -> bool:
        """Look, unless it is too early to."""
        declared = self.wanted.declared
        self.changed = False
        if age_s < max(declared.initial_delay_s, self.not_before_s):
            return False
        fault = self.wanted.check.fault(running, age_s)
        self.changed = fault != self.fault
        self.fault = fault or ""
        if isinstance(self.wanted.check, Command | Probed):
            self.not_before_s = age_s + COMMAND_SECONDS
        return fault is None


@dataclass
class Watched:
    """One instance and the checks it has yet to pass."""

    running: Running
    pending: list[Pending] = field(default_factory=list)


class Health:
    """Waits for instances, and tells why one does not come up."""

    def __init__(self, engine: Engine, clock: Clock, explainer: Explainer) -> None:
        self._engine = engine
        self._clock = clock
        self._explainer = explainer
        self._checks = Checks(engine)

    def wait(self, draft: Draft, started: Sequence[Running], boot: Boot, report: Report) -> None:
        """Return when every instance passed its checks.

        Raises `Unhealthy` at the first exit, or when a check's time is over. A check that
        only warns is given up then.
        """
        began = self._clock.monotonic()
        poller = select.poll()
        exits = {self._engine.containers.watch(one.container): one for one in started}
        for descriptor in exits:
            poller.register(descriptor, select.POLLIN)
        waiting = [Watched(one, self._pending(draft, one, boot)) for one in started]
        pause_ms = FIRST_POLL_MS
        try:
            while waiting := self._round(waiting, began, report):
                self._give_up(waiting, draft, self._clock.monotonic() - began, report)
                if any(check.changed for one in waiting for check in one.pending):
                    pause_ms = FIRST_POLL_MS
                for descriptor, _ in poller.poll(pause_ms):
                    raise self._explainer.exited(exits[descriptor], draft)
                pause_ms = min(pause_ms * POLL_GROWTH, LAST_POLL_MS)
        finally:
            for descriptor in exits:
                os.close(descriptor)

    def _pending(self, draft: Draft, one: Running, boot: Boot) -> list[Pending]:
        if one.member.process_type in boot.skipped:
            return []
        kind = one.member.process_type
        wanted = self._checks.at_start(draft, kind, boot.host, one.container)
        return [Pending(each, each.declared.deadline_s(boot.deadline_s)) for each in wanted]

    def _round(self, waiting: Sequence[Watched], began: float, report: Report) -> list[Watched]:
        still: list[Watched] = []
        for one in waiting:
            age = self._clock.monotonic() - began
            one.pending = [check for check in one.pending if not check.holds(one.running, age)]
            if one.pending:
                still.append(one)
            else:
                report.detail(f"{one.running.member} is healthy")
        return still

    def _give_up(
        self, waiting: Sequence[Watched], draft: Draft, age_s: float, report: Report
    ) -> None:
        for one in waiting:
            for check in [each for each in one.pending if age_s > each.deadline_s]:
                name = check.wanted.name
                if not check.wanted.declared.warn:
                    raise self._explainer.too_late(
                        one.running, draft, check.deadline_s, check.wanted, check.fault
                    )
                report.warn(f"{one.running.member}: {name}: {check.fault}")
                one.pending.remove(check)
