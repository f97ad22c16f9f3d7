"""How long each stage of a deploy took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.host.clock import Clock
from paas.host.files import write_atomic


class Timeline:
    """Seconds by stage, in the order in which they ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as the stage `name`, also when it fails; again adds to it."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            lasted = self._clock.monotonic() - began
            self.stages[name] = self.stages.get(name, 0.0) + lasted

    @property
    def total(self) -> float:
        """Seconds since the deploy began."""
        return self._clock.monotonic() - self._began

    def save(self, path: Path) -> None:
        """Keep the figures beside the deploy's output."""
        write_atomic(path, json.dumps({**self.stages, "total": self.total}, indent=1))
