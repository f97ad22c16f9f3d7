"""Waiting until new instances are healthy: the first successful check ends the wait."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paas.deploy.checks import Check, checks_for
from paas.deploy.draft import Draft
from paas.deploy.explain import Explainer
from paas.deploy.running import Running
from paas.engine.engine import Engine
from paas.host.clock import Clock

FIRST_POLL_MS = 5
LAST_POLL_MS = 50
"""Between two rounds of checks: short at first, since many apps boot at once or not at all."""


@dataclass
class Watched:
    """One instance and the checks it has yet to pass."""

    running: Running
    pending: list[Check] = field(default_factory=list)


class Health:
    """Waits for instances, and tells why one does not come up."""

    def __init__(self, engine: Engine, clock: Clock, explainer: Explainer) -> None:
        self._engine = engine
        self._clock = clock
        self._explainer = explainer

    def wait(
        self,
        draft: Draft,
        started: Sequence[Running],
        deadline_s: float,
        passed: Callable[[Running], None],
    ) -> None:
        """Return when every instance passed its checks; `passed` hears of each.

        Raises `Unhealthy` at the first exit, or when `deadline_s` seconds are over.
        """
        began = self._clock.monotonic()
        poller = select.poll()
        exits = {self._engine.containers.watch(one.container): one for one in started}
        for descriptor in exits:
            poller.register(descriptor, select.POLLIN)
        waiting = [Watched(one, list(self._checks(draft, one))) for one in started]
        pause_ms = FIRST_POLL_MS
        try:
            while waiting := self._round(waiting, began, passed):
                if self._clock.monotonic() - began > deadline_s:
                    raise self._explainer.too_late(waiting[0].running, draft, deadline_s)
                for descriptor, _ in poller.poll(pause_ms):
                    raise self._explainer.exited(exits[descriptor], draft)
                pause_ms = min(pause_ms * 2, LAST_POLL_MS)
        finally:
            for descriptor in exits:
                os.close(descriptor)

    def _checks(self, draft: Draft, one: Running) -> Sequence[Check]:
        return checks_for(draft, one.member.process_type, self._engine.probes, one.container)

    def _round(
        self, waiting: Sequence[Watched], began: float, passed: Callable[[Running], None]
    ) -> list[Watched]:
        still: list[Watched] = []
        for one in waiting:
            age = self._clock.monotonic() - began
            one.pending = [check for check in one.pending if not check.holds(one.running, age)]
            if one.pending:
                still.append(one)
            else:
                passed(one.running)
        return still
