"""Certificates that end although they should not: when it is said, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from paas.deploy.expiry import AGAIN_S, WARNING, Expiry
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.store.store import Store

DAY = 86400.0


@dataclass
class Hands:
    """A clock that stands still, and a router that serves what it is told."""

    time: float = 0.0
    served: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def now(self) -> float:
        return self.time

    def certified(self, _: App) -> dict[str, tuple[str, ...]]:
        return self.served


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def expiry(tmp_path: Path, hands: Hands) -> Iterator[Expiry]:
    store = Store(Layout.at(tmp_path), hands.now)
    app = store.apps.create("shop")
    made = Certificate(
        "f", Source.GIVEN, ("shop.example",), "CA", "1", 0.0, 90 * DAY, self_signed=False
    )
    store.certificates.add(app.id, made)
    yield Expiry(store, cast(Any, hands), cast(Any, hands))
    store.close()


def warnings(expiry: Expiry) -> list[str]:
    expiry.warn()
    return [each.detail for each in expiry.store.events.tail(9, "shop") if each.what == WARNING]


def test_one_that_serves_nobody_may_end(expiry: Expiry, hands: Hands) -> None:
    hands.time = 89 * DAY
    assert warnings(expiry) == []


def test_it_is_said_from_three_weeks_before_the_end_and_once_a_day(
    expiry: Expiry, hands: Hands
) -> None:
    hands.served = {"f": ("shop.example", "www.shop.example")}
    hands.time = 69 * DAY - 1
    assert warnings(expiry) == []
    hands.time = 69 * DAY
    said = "shop.example, www.shop.example: until 1970-04-01 00:00 UTC"
    assert warnings(expiry) == [said]
    hands.time += AGAIN_S - 1
    assert warnings(expiry) == [said]
    hands.time += 1
    assert warnings(expiry) == [said, said]
