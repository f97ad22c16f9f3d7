"""What the supervisor does for plugins: it has them told what has happened.

One job for each plugin that is behind, so that one which hangs keeps no other waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from paas.daemon.jobs import Jobs
from paas.deploy.telling import Telling
from paas.engine.backoff import Backoff
from paas.host.clock import Clock

TELLS = 8
"""Plugins that are told at once."""


@dataclass(frozen=True)
class Tell:
    """The job of telling one plugin."""

    plugin: str


class PluginWatch:
    """Between two looks: which jobs failed, and when they are due again."""

    descriptors: tuple[int, ...] = ()

    def __init__(self, telling: Telling, jobs: Jobs, clock: Clock) -> None:
        self._telling = telling
        self._jobs = jobs
        self._clock = clock
        self._backoff = Backoff()
        self.due: list[float] = []
        """Monotonic seconds at which there is something to do."""

    def look(self) -> None:
        """Start the jobs of those that are behind."""
        self.due = []
        for name in self._telling.due():
            due = self._backoff.due(Tell(name))
            if due > self._clock.monotonic():
                self.due.append(due)
            else:
                # While it runs already, its end brings the next look.
                self._jobs.start(Tell(name), partial(self._telling.run, name))

    def finished(self, key: object, code: int) -> bool:
        """A job ended; says whether it was one of these."""
        if not isinstance(key, Tell):
            return False
        if code != 0:
            self._backoff.failed(key, self._clock.monotonic())
        else:
            self._backoff.forget(key)
        return True
