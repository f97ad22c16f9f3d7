"""Counting requests, and keeping the logs they are counted from short. The supervisor runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from paas.host.clock import Clock
from paas.model.traffic import Traffic
from paas.proxy.proxy import Proxy
from paas.proxy.traffic import Mark
from paas.store.store import Store


@dataclass(frozen=True)
class Metrics:
    """Every line is counted once: its place is kept in the transaction that counts it."""

    store: Store
    proxy: Proxy
    clock: Clock

    def collect(self) -> None:
        """Count what came since the last time, then rotate what has grown long."""
        for app in self.store.apps.list():
            before = Mark(*self.store.traffic.position(app.id))
            counted, after = self.proxy.traffic.since(app.name, before)
            if after != before:
                self._add(app.id, counted, after)
        self.proxy.rotate_logs(self._apps())

    @contextmanager
    def _apps(self) -> Iterator[set[str]]:
        """The names of all apps. None gets another meanwhile, which moves its logs."""
        with self.store.transaction():
            yield {app.name for app in self.store.apps.list()}

    def _add(self, app_id: int, counted: Mapping[int, Traffic], after: Mark) -> None:
        # In one transaction: an app that is destroyed meanwhile would fail the next rows.
        with self.store.transaction():
            if self.store.apps.by_id(app_id) is not None:
                self.store.traffic.add(app_id, dict(counted), after.file, after.position)

    def prune(self) -> None:
        """Forget old counts."""
        self.store.traffic.prune(self.clock.now())
