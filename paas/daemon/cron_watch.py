"""What the supervisor does about cron: begins runs when they are due, and sees them end.

Beginning and ending are jobs in children; what is due is found in the database each time.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from paas.daemon.jobs import Jobs
from paas.deploy.parts import Parts
from paas.engine.backoff import Backoff
from paas.engine.container import ContainerNotFound, State
from paas.model.cron import CronRun

AGAIN_SECONDS = 1.0
"""Until an end that could not be recorded is looked at again."""


@dataclass(frozen=True)
class BeginRun:
    """The job of beginning what is due of one task."""

    app_id: int
    task: str


@dataclass(frozen=True)
class EndRun:
    """The job of recording the end of one run, or of stopping it."""

    run: int


class CronWatch:
    """Between two looks: which runs go on, and when something is due."""

    def __init__(self, parts: Parts, jobs: Jobs) -> None:
        self._parts = parts
        self._jobs = jobs
        self._backoff = Backoff()
        self._watched: dict[int, int] = {}
        """By its number, a descriptor that is readable when a run has ended."""
        self._settled: dict[int, float] = {}
        """By its number, when the end of a run is looked at again (monotonic)."""
        self.due: list[float] = []
        """Monotonic seconds at which there is something to do."""

    @property
    def descriptors(self) -> Iterable[int]:
        """Readable when a run has ended that nobody looks at yet."""
        return [fd for run, fd in self._watched.items() if run not in self._settled]

    def look(self) -> None:
        """Begin what is due, and see to it that every end is noticed."""
        clock, self.due = self._parts.clock, []
        now = clock.monotonic()
        shift = now - clock.now()
        outlook = self._parts.cron.outlook()
        for due in outlook.due:
            key = BeginRun(due.planned.app_id, due.planned.task.id)
            if self._backoff.due(key) > now:
                self.due.append(self._backoff.due(key))
            else:
                self._jobs.start(key, partial(self._parts.cron_runs.begin_due, due))
        if outlook.next_at is not None:
            self.due.append(outlook.next_at + shift)
        running = self._parts.store.cron.running()
        self._forget({run.id for run in running})
        for run in running:
            self.due.append(run.until + shift)
            if self._is_over(run, clock.now()):
                self._settle(run, now)

    def finished(self, key: object, code: int) -> bool:
        """A job ended; says whether it was one of these."""
        if isinstance(key, BeginRun):
            if code:
                self._backoff.failed(key, self._parts.clock.monotonic())
            else:
                self._backoff.forget(key)
        return isinstance(key, BeginRun | EndRun)

    def _settle(self, run: CronRun, now: float) -> None:
        if self._settled.get(run.id, 0.0) <= now:
            self._jobs.start(EndRun(run.id), partial(self._parts.cron_runs.settle, run.id))
            self._settled[run.id] = now + AGAIN_SECONDS
        self.due.append(self._settled[run.id])

    def _is_over(self, run: CronRun, now: float) -> bool:
        """Whether it has ended, is to be stopped, or seems never to have been started."""
        containers = self._parts.engine.containers
        if run.id not in self._watched:
            try:
                if containers.status(run.container).state in (State.CREATING, State.CREATED):
                    return True
                self._watched[run.id] = containers.watch(run.container)
            except ContainerNotFound:
                return True
        poll = select.poll()
        poll.register(self._watched[run.id], select.POLLIN)
        return run.until <= now or bool(poll.poll(0))

    def _forget(self, running: set[int]) -> None:
        for number in self._watched.keys() - running:
            os.close(self._watched.pop(number))
        for number in self._settled.keys() - running:
            del self._settled[number]
