"""A child that always runs: started again when it ends, later and later if it keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from paas.daemon.children import Children

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds before a restart; doubled each time."""

STEADY = 60.0
"""Seconds after which a run counts as a good one and the pause starts over."""


@dataclass(frozen=True)
class Resident:
    """What is to run. `work` returns only by mistake or when it is asked to stop."""

    name: str
    work: Callable[[], None]


class Keeper:
    """Keeps one resident running; its owner calls `start_if_due` when `due` is over."""

    def __init__(self, resident: Resident, children: Children, log: Callable[[str], None]) -> None:
        self._resident = resident
        self._children = children
        self._log = log
        self._pause = FIRST_PAUSE
        self._started = 0.0
        self.due: float | None = time.monotonic()
        """When it is to be started, in monotonic seconds; None while it runs."""

    def start_if_due(self) -> None:
        """Start it if it is time."""
        if self.due is None or time.monotonic() < self.due:
            return
        self._started = time.monotonic()
        self.due = None
        try:
            self._children.fork(self._work, self._ended, self._resident.name)
        except OSError as error:
            self._again(f"could not be started: {error}")

    def _work(self) -> int:
        self._resident.work()
        return 0

    def _ended(self, code: int) -> None:
        if time.monotonic() - self._started >= STEADY:
            self._pause = FIRST_PAUSE
        self._again(f"ended with {code}")

    def _again(self, what: str) -> None:
        self._log(f"{self._resident.name} {what}; again in {self._pause:g} s")
        self.due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
