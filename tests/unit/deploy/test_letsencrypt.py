"""When a certificate is renewed, and what a failure does: a real store, nobody to ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from paas.deploy.letsencrypt import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    Letsencrypt,
    NotEnabled,
    NotReady,
)
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.model.settings import LETSENCRYPT_EMAIL, LETSENCRYPT_SERVER
from paas.plugin.acme import AcmeFailed
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.store.store import Store

NOBODY = "https://127.0.0.1:9/dir"


@dataclass
class Hands:
    """A clock that stands still, and a router that knows domains alone."""

    time: float = 1000.0
    names: list[str] = field(default_factory=lambda: ["a.example"])

    def now(self) -> float:
        return self.time

    def domains(self, _: App) -> list[str]:
        return self.names


@dataclass
class World:
    """Everything but an authority."""

    store: Store
    hands: Hands
    letsencrypt: Letsencrypt
    app: App

    def issued(self, *names: str, until: float) -> None:
        new = Certificate("f", Source.LETSENCRYPT, names, "CA", "1", 0.0, until, self_signed=False)
        self.store.certificates.add(self.app.id, new)

    def due(self) -> bool:
        return [app.id for app in self.letsencrypt.due()] == [self.app.id]

    def fails(self) -> float:
        """Let a renewal fail; the seconds until the next attempt."""
        with pytest.raises(AcmeFailed):
            self.letsencrypt.renew(self.app, actor="supervisor")
        renewal = self.store.renewals.find(self.app.id)
        assert renewal is not None
        return renewal.not_before - self.hands.time


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    layout = Layout.at(tmp_path)
    store, hands = Store(layout), Hands()
    store.settings.set(None, LETSENCRYPT_EMAIL.name, "me@a.example")
    store.settings.set(None, LETSENCRYPT_SERVER.name, NOBODY)
    anybody = cast(Any, hands)
    proxy = Proxy(layout, Listening)
    letsencrypt = Letsencrypt(layout, store, proxy, anybody, anybody, anybody)
    yield World(store, hands, letsencrypt, store.apps.create("app"))
    store.close()


def test_nothing_is_asked_without_an_address_or_a_name(world: World) -> None:
    world.hands.names = ["*.a.example"]
    with pytest.raises(NotReady, match="no domain"):
        world.letsencrypt._names(world.app)
    world.store.settings.set(None, LETSENCRYPT_EMAIL.name, None)
    world.hands.names = ["a.example"]
    with pytest.raises(NotReady, match="e-mail"):
        world.letsencrypt.enable(world.app, actor="me", report=Silent())
    assert world.store.renewals.list() == []


def test_an_app_that_is_not_enabled_is_left_alone(world: World) -> None:
    assert not world.due()
    with pytest.raises(NotEnabled):
        world.letsencrypt.renew(world.app, actor="me")


def test_a_failed_first_time_enables_nothing(world: World) -> None:
    with pytest.raises(AcmeFailed):
        world.letsencrypt.enable(world.app, actor="me", report=Silent())
    assert world.store.renewals.list() == []


def test_failures_wait_twice_as_long_each_time_but_never_for_ever(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    waits = []
    for _ in range(9):
        waits.append(world.fails())
        assert not world.due()
        world.hands.time += waits[-1]
        assert world.due()
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S
    (first, *_) = world.store.events.tail(20, "app")
    assert first.what == "certificate renewal failed"
    assert f"{NOBODY} cannot be reached" in first.detail


def test_it_is_due_in_the_last_third_and_not_before(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    assert world.due()
    world.issued("a.example", until=3000)
    world.hands.time = 1999
    assert not world.due()
    assert not world.letsencrypt.renew(world.app, actor="me")
    world.hands.time = 2000
    assert world.due()


def test_another_domain_makes_it_due_and_one_less_does_not(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    world.issued("a.example", "b.example", until=30000)
    assert not world.due()
    world.hands.names = ["a.example", "c.example"]
    assert world.due()
    world.hands.names = ["a.example", "*.c.example"]
    assert not world.due()
