"""What the supervisor does about drains: one process for each, started again when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from paas.daemon.jobs import Jobs
from paas.deploy.parts import Parts
from paas.engine.backoff import Backoff


@dataclass(frozen=True)
class Ship:
    """The job of sending the output of an app to one drain."""

    drain: str


class DrainWatch:
    """Between two looks: which drains are being sent to."""

    def __init__(self, parts: Parts, jobs: Jobs) -> None:
        self._parts = parts
        self._jobs = jobs
        self._backoff = Backoff()
        self.due: list[float] = []
        """Monotonic seconds at which there is something to do."""

    @property
    def descriptors(self) -> Iterable[int]:
        """Its jobs are all that it waits for."""
        return ()

    def look(self) -> None:
        """Have a process for every drain; those of removed ones end by themselves."""
        self.due = []
        now = self._parts.clock.monotonic()
        for drain in self._parts.store.drains.ids():
            key = Ship(drain)
            if self._backoff.due(key) > now:
                self.due.append(self._backoff.due(key))
            else:
                self._jobs.start(key, partial(self._parts.drains.ship, drain))

    def finished(self, key: object, code: int) -> bool:
        """A job ended; says whether it was one of these."""
        if isinstance(key, Ship):
            if code:
                self._backoff.failed(key, self._parts.clock.monotonic())
            else:
                self._backoff.forget(key)
        return isinstance(key, Ship)
