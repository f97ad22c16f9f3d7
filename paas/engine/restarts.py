"""Keeping containers with a restart policy running: what is due, and when to look again.

It starts nothing itself: `look` names what is to be started now, and `start` does one of
them, in whichever process its caller wants that to happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paas.engine.backoff import GOOD_RUN_SECONDS, Backoff
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler
from paas.engine.container import ContainerNotFound, Status
from paas.engine.containers import Containers, WrongState
from paas.engine.policy import RestartPolicy
from paas.host.clock import Clock


@dataclass(frozen=True)
class Outlook:
    """What there is to do: `due` now; `running` are to be watched for their end.

    `next_due` is when to look again, in the clock's monotonic seconds; None for never.
    """

    due: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    next_due: float | None = None


@dataclass
class Restarts:
    """The containers of one engine that are started again when they end.

    The waits between are remembered by this object alone: who comes after it begins from
    no wait, as Docker's daemon does.
    """

    bundler: Bundler
    containers: Containers
    clock: Clock
    backoff: Backoff = field(default_factory=Backoff)
    _ended: dict[str, int] = field(default_factory=dict)
    """By id, how often it had been started again at the end that the back-off knows."""

    def look(self) -> Outlook:
        """What is due, what runs, and when something is due next."""
        due: list[str] = []
        running: list[str] = []
        later: list[float] = []
        kept = [bundle for bundle in self.bundler.bundles if _policy(bundle).restarts]
        for bundle in kept:
            try:
                status = self.containers.settle(bundle.id)
            except ContainerNotFound:
                continue
            if not status.state.has_ended:
                running.append(bundle.id)
            elif self._wanted(bundle, status):
                at = self._due(bundle, status)
                if at <= self.clock.monotonic():
                    due.append(bundle.id)
                else:
                    later.append(at)
        self._forget({bundle.id for bundle in kept})
        return Outlook(tuple(due), tuple(running), min(later, default=None))

    def start(self, container_id: str) -> None:
        """Start one that is due. Raises `RuntimeFailed`; one that is gone or runs is fine."""
        bundle = self.bundler.bundles.of(container_id)
        try:
            status = self.containers.status(container_id)
            if self._wanted(bundle, status):
                self.containers.start_again(container_id, self._failures(bundle, status) + 1)
        except (ContainerNotFound, WrongState):
            # Removed or started by somebody else in between.
            return

    def failed(self, container_id: str) -> None:
        """It could not be started: wait longer before the next time."""
        self.backoff.failed(container_id, self.clock.monotonic())

    def _wanted(self, bundle: Bundle, status: Status) -> bool:
        failures = self._failures(bundle, status)
        stopped = bundle.marked("stopped")
        return status.state.has_ended and _policy(bundle).wants(
            status.exit_code, failures, stopped=stopped
        )

    def _failures(self, bundle: Bundle, status: Status) -> int:
        """How often in a row it was started again; a good run ends the row."""
        return 0 if self._ran_well(bundle, status) else bundle.restarts().failures

    def _ran_well(self, bundle: Bundle, status: Status) -> bool:
        ended = bundle.ended_at()
        if ended is None or status.started_at is None:
            return False
        return ended - status.started_at >= GOOD_RUN_SECONDS

    def _due(self, bundle: Bundle, status: Status) -> float:
        """When it starts again, counting an end once."""
        count = bundle.restarts().count
        if self._ended.get(bundle.id) != count:
            self._ended[bundle.id] = count
            if self._ran_well(bundle, status):
                self.backoff.forget(bundle.id)
            self.backoff.failed(bundle.id, self.clock.monotonic())
        return self.backoff.due(bundle.id)

    def _forget(self, present: set[str]) -> None:
        for gone in self._ended.keys() - present:
            del self._ended[gone]
            self.backoff.forget(gone)


def _policy(bundle: Bundle) -> RestartPolicy:
    record = bundle.record()
    return RestartPolicy.parse(record.restart) if record else RestartPolicy()
