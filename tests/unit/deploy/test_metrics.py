"""Requests are counted once, and an app that goes meanwhile stops nobody else's count."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from paas.deploy.metrics import Metrics
from paas.model.layout import Layout
from paas.model.traffic import Traffic
from paas.proxy.traffic import Mark
from paas.store.store import Store


@dataclass
class Logs:
    """A proxy whose logs have one request each, of minute 60; `gone` ends while it is read."""

    store: Store
    gone: str = ""
    rotated: list[str] = field(default_factory=list)

    @property
    def traffic(self) -> Logs:
        return self

    def since(self, app: str, _: Mark) -> tuple[Mapping[int, Traffic], Mark]:
        if app == self.gone:
            self.store.apps.destroy(self.store.apps.get(app))
        one = Traffic()
        one.count(200, 3, 10, by_app=True)
        return {60: one}, Mark(7, 100)

    def rotate_logs(self, apps: AbstractContextManager[Collection[str]]) -> None:
        self.store.apps.create("new")
        with apps as known:
            self.rotated += sorted(known)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(Layout.at(tmp_path), lambda: 1000.0)
    for name in ("one", "two"):
        store.apps.create(name)
    yield store
    store.close()


def test_an_app_that_is_destroyed_meanwhile_is_left_out(store: Store) -> None:
    logs = Logs(store, gone="one")
    Metrics(store, cast(Any, logs), cast(Any, None)).collect()
    [(minute, counted)] = store.traffic.list(store.apps.get("two").id, 0)
    assert (minute, counted.requests) == (60, 1)
    assert store.apps.find("one") is None
    # Also one that came since they were counted, and none that is gone: its log would go or stay.
    assert logs.rotated == ["new", "two"]
