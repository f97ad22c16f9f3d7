"""What the supervisor does for containers themselves: restart policies, health checks.

Whatever takes long is a job in a child, as all of the supervisor's work is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from paas.daemon.jobs import Jobs
from paas.engine.container import ContainerNotFound
from paas.engine.engine import Engine


@dataclass(frozen=True)
class StartAgain:
    """The job of starting one container that ended."""

    container: str


@dataclass(frozen=True)
class Probe:
    """The job of asking one container's health check."""

    container: str


class Keeping:
    """Between two looks: whose ends are watched, and when something is due."""

    def __init__(self, engine: Engine, jobs: Jobs) -> None:
        self._engine = engine
        self._jobs = jobs
        self._exits: dict[str, int] = {}
        self.due: list[float] = []
        """Monotonic seconds at which there is something to do."""

    @property
    def descriptors(self) -> Iterable[int]:
        """Readable when a container that is kept has ended."""
        return self._exits.values()

    def look(self) -> None:
        """Start what is due, and see to it that the next end is noticed."""
        outlook = self._engine.restarts.look()
        self.due = [] if outlook.next_due is None else [outlook.next_due]
        for container in outlook.due:
            work = partial(self._engine.restarts.start, container)
            self._jobs.start(StartAgain(container), work)
        self._watch(set(outlook.running))
        self._probe()

    def finished(self, key: object, code: int) -> bool:
        """A job ended; says whether it was one of these."""
        if isinstance(key, StartAgain) and code != 0:
            self._engine.restarts.failed(key.container)
        return isinstance(key, StartAgain | Probe)

    def _probe(self) -> None:
        clock = self._engine.clock
        shift = clock.monotonic() - clock.now()
        for at, container in self._engine.probes.due():
            if at > clock.now():
                # In their order: the others are later still.
                self.due.append(at + shift)
                return
            self._jobs.start(Probe(container), partial(self._engine.probes.probe, container))

    def _watch(self, running: set[str]) -> None:
        for container in self._exits.keys() - running:
            os.close(self._exits.pop(container))
        for container in running - self._exits.keys():
            with suppress(ContainerNotFound):
                self._exits[container] = self._engine.containers.watch(container)
