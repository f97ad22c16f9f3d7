"""Counting requests, and keeping the logs they are counted from short. The supervisor runs it."""

from __future__ import annotations

from dataclasses import dataclass

from paas.host.clock import Clock
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
        apps = self.store.apps.list()
        for app in apps:
            before = Mark(*self.store.traffic.position(app.id))
            counted, after = self.proxy.traffic.since(app.name, before)
            if after != before and self.store.apps.by_id(app.id) is not None:
                self.store.traffic.add(app.id, dict(counted), after.file, after.position)
        self.proxy.rotate_logs([app.name for app in apps])

    def prune(self) -> None:
        """Forget old counts."""
        self.store.traffic.prune(self.clock.now())
