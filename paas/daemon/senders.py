"""What the supervisor does about drains and webhooks: a process for each that has work.

One that hangs holds up no other; one that fails is started again, later and later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from paas.daemon.jobs import Jobs
from paas.deploy.parts import Parts
from paas.engine.backoff import Backoff


@dataclass(frozen=True)
class Ship:
    """The job of sending the output of an app to one drain, until it is removed."""

    drain: str


@dataclass(frozen=True)
class Notify:
    """The job of telling one webhook what it has not been told."""

    webhook: str


class Senders:
    """Between two looks: whom something is being sent to."""

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
        """Have a process for every drain, and for every webhook that there is news for."""
        self.due = []
        store, now = self._parts.store, self._parts.clock.monotonic()
        keys: list[Ship | Notify] = [Ship(drain) for drain in store.drains.ids()]
        keys += [Notify(webhook) for webhook in store.webhooks.waiting()]
        for key in keys:
            if self._backoff.due(key) > now:
                self.due.append(self._backoff.due(key))
            else:
                self._jobs.start(key, partial(self._send, key))

    def finished(self, key: object, code: int) -> bool:
        """A job ended; says whether it was one of these."""
        if isinstance(key, Ship | Notify):
            if code:
                self._backoff.failed(key, self._parts.clock.monotonic())
            else:
                self._backoff.forget(key)
        return isinstance(key, Ship | Notify)

    def _send(self, key: Ship | Notify) -> None:
        if isinstance(key, Ship):
            self._parts.drains.ship(key.drain)
        else:
            self._parts.notifier.deliver(key.webhook)
