"""How long to wait before an instance is started again: a pure calculation."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
GOOD_RUN_SECONDS = 60.0
"""An instance that ran this long starts from no delay again."""


@dataclass
class History:
    """What is known of one place in a formation."""

    failures: int = 0
    started: float | None = None
    not_before: float = 0.0


@dataclass
class Backoff:
    """The first restart is immediate; each further one waits twice as long, to a limit.

    All times are seconds of one monotonic clock.
    """

    _histories: dict[Hashable, History] = field(default_factory=dict)

    def started(self, place: Hashable, now: float) -> None:
        """An instance came up."""
        self._history(place).started = now

    def failed(self, place: Hashable, now: float) -> float:
        """An instance ended, or did not come up; returns the seconds to wait."""
        history = self._history(place)
        if history.started is not None and now - history.started >= GOOD_RUN_SECONDS:
            history.failures = 0
        wait = 0.0
        if history.failures:
            wait = min(FIRST_SECONDS * 2 ** (history.failures - 1), LONGEST_SECONDS)
        history.failures += 1
        history.started = None
        history.not_before = now + wait
        return wait

    def due(self, place: Hashable) -> float:
        """When the place may be filled again."""
        history = self._histories.get(place)
        return history.not_before if history is not None else 0.0

    def forget(self, place: Hashable) -> None:
        """The place is new: another release fills it."""
        self._histories.pop(place, None)

    def _history(self, place: Hashable) -> History:
        return self._histories.setdefault(place, History())
