"""When a certificate is renewed, and what a failure does: a real store, nobody to ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from paas.deploy.authority import NotReady
from paas.deploy.certificates import Certificates
from paas.deploy.letsencrypt import Letsencrypt, NotEnabled
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.model.letsencrypt import AUTO, CHALLENGE, EMAIL, SERVER
from paas.model.renewing import FIRST_WAIT_S, LONGEST_WAIT_S, wait_after
from paas.model.report import Report, Silent
from paas.plugin.acme.failure import AcmeFailed
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.store.store import Store
from tests.killing import counted_effects, killed_before

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

    def publish(self, _: Report) -> None:
        """There is no proxy."""


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
        self.store.renewals.suggested(self.app.id, None, ask_at=9e9)

    def due(self) -> bool:
        return [app.id for app in self.letsencrypt.due()] == [self.app.id]

    def fails(self) -> float:
        """Let a renewal fail; the seconds until the next attempt."""
        with pytest.raises(AcmeFailed):
            self.letsencrypt.renew(self.app, actor="me")
        renewal = self.store.renewals.find(self.app.id)
        assert renewal is not None
        return renewal.not_before - self.hands.time


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    layout = Layout.at(tmp_path)
    store, hands = Store(layout), Hands()
    store.settings.set(None, EMAIL.name, "me@a.example")
    store.settings.set(None, SERVER.name, NOBODY)
    anybody = cast(Any, hands)
    proxy = Proxy(layout, Listening)
    certificates = Certificates(layout, store, proxy, anybody, anybody)
    letsencrypt = Letsencrypt(layout, store, proxy, anybody, certificates, anybody)
    yield World(store, hands, letsencrypt, store.apps.create("app"))
    store.close()


def test_nothing_is_asked_without_an_address_or_a_name(world: World) -> None:
    world.hands.names = ["*.a.example"]
    with pytest.raises(NotReady, match="no domain"):
        world.letsencrypt._names(world.app)
    world.store.settings.set(None, EMAIL.name, None)
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


def test_an_authority_that_wants_to_be_left_alone_is(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    world.letsencrypt._note(world.app, "supervisor", AcmeFailed("slow down", retry_after=7200))
    renewal = world.store.renewals.find(world.app.id)
    assert renewal is not None
    assert renewal.not_before - world.hands.time == 7200


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


def test_a_failure_of_a_command_counts_for_a_supervisor_that_waited_for_it(world: World) -> None:
    """It found the app due, and its turn came behind the command's."""
    world.store.renewals.enable(world.app.id)
    assert world.due()
    with pytest.raises(AcmeFailed):
        world.letsencrypt.renew(world.app, actor="me")
    assert not world.letsencrypt.renew_due(world.app)
    events = world.store.events.tail(20, "app")
    assert [one.actor for one in events if one.what == "certificate renewal failed"] == ["me"]


def test_an_app_for_which_it_was_disabled_meanwhile_is_no_failure(world: World) -> None:
    assert not world.letsencrypt.renew_due(world.app)


def test_the_nearer_the_end_the_sooner_it_is_tried_again(world: World) -> None:
    """Failures of before do not make it miss the last hours; the authority's word counts."""
    assert wait_after(9, 0, left_s=30 * 86400) == LONGEST_WAIT_S
    assert wait_after(9, 0, left_s=8 * 3600) == 3600
    assert wait_after(9, 7200, left_s=8 * 3600) == 7200
    assert wait_after(9, 0, left_s=60) == FIRST_WAIT_S
    assert wait_after(9, 0, left_s=-86400) == FIRST_WAIT_S
    world.store.renewals.enable(world.app.id)
    world.issued("old.example", until=world.hands.time + 8 * 3600)
    for _ in range(4):
        waited = world.fails()
        world.hands.time += 1
    assert waited == pytest.approx(3600, abs=10)


def test_it_is_due_in_the_last_third_and_not_before(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    assert world.due()
    world.issued("a.example", until=3000)
    world.hands.time = 1999
    assert not world.due()
    assert not world.letsencrypt.renew(world.app, actor="me")
    world.hands.time = 2001  # the jitter of this certificate is less
    assert world.due()


def test_another_domain_makes_it_due_and_one_less_does_not(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    world.issued("a.example", "b.example", until=30000)
    assert not world.due()
    world.hands.names = ["a.example", "c.example"]
    assert world.due()
    world.hands.names = ["a.example", "*.c.example"]
    assert not world.due()


def test_it_is_due_when_the_authority_wants_it(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    world.issued("a.example", until=30000)
    world.store.renewals.suggested(world.app.id, 1500, ask_at=9e9)
    assert not world.due()
    world.hands.time = 1500
    assert world.due()


def test_the_authority_is_asked_for_its_wish_now_and_then(world: World) -> None:
    world.store.renewals.enable(world.app.id)
    world.issued("a.example", until=30000)
    world.store.renewals.suggested(world.app.id, None, ask_at=0)
    assert world.due()
    # Nobody answers: the certificate stays, and the question is put off.
    assert not world.letsencrypt.renew(world.app, actor="supervisor")
    assert not world.due()
    (first, *_) = world.store.events.tail(1, "app")
    assert first.what == "renewal time not known"


def test_wildcards_are_certified_where_the_dns_can_be_changed(world: World) -> None:
    world.hands.names = ["*.a.example"]
    world.store.settings.set(world.app.id, CHALLENGE.name, "dns-01")
    assert world.letsencrypt._names(world.app) == ["*.a.example"]
    with pytest.raises(NotReady, match="how the DNS is changed"):
        world.letsencrypt.enable(world.app, actor="me", report=Silent())


# -- by itself -----------------------------------------------------------------------------------


def adopted(world: World) -> bool:
    world.letsencrypt.adopt()
    return world.store.renewals.find(world.app.id) is not None


def test_a_live_app_with_a_public_domain_is_enabled_once_there_is_an_address(world: World) -> None:
    world.hands.names = ["www.shop.dev"]
    assert not adopted(world)  # not deployed yet
    go_live(world)
    world.store.settings.set(None, EMAIL.name, None)
    assert not adopted(world)
    world.store.settings.set(None, EMAIL.name, "me@a.example")
    assert adopted(world)


@pytest.mark.parametrize(
    "name", ["a.example", "shop.test", "shop.internal", "localhost", "*.x.dev"]
)
def test_a_domain_that_no_authority_could_find_is_left_alone(world: World, name: str) -> None:
    go_live(world)
    world.hands.names = [name]
    assert not adopted(world)


def test_an_app_that_is_destroyed_during_a_look_ends_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(world)

    def look(app: App) -> list[str]:
        world.store.apps.destroy(app)
        return ["www.shop.dev"]

    monkeypatch.setattr(world.hands, "domains", look)
    assert not adopted(world)
    assert world.store.events.tail(10, world.app.name) == []


def test_whoever_disabled_it_is_not_asked_again(world: World) -> None:
    go_live(world)
    world.hands.names = ["www.shop.dev"]
    assert adopted(world)
    world.letsencrypt.disable(world.app, actor="me", report=Silent())
    assert not adopted(world)


def test_an_operator_s_certificate_is_enough(world: World) -> None:
    go_live(world)
    world.hands.names = ["www.shop.dev"]
    given = Certificate(
        "g", Source.GIVEN, ("www.shop.dev",), "CA", "1", 0.0, 9e9, self_signed=False
    )
    world.store.certificates.add(world.app.id, given)
    assert not adopted(world)


def go_live(world: World) -> None:
    release = world.store.releases.add(
        world.app.id, image="i", commit=None, config={}, processes={}, formation={},
        health={}, reason="test", actor="me", created_at=0.0,
    )  # fmt: skip
    world.store.apps.set_live(world.app.id, release.number)


def test_it_is_on_or_off_whoever_is_killed(world: World) -> None:
    """With an account that is not needed: there is a certificate that is good for a while."""

    def state() -> tuple[bool, int, str | None]:
        on = world.store.renewals.find(world.app.id) is not None
        certificates = len(world.store.certificates.list(world.app.id))
        return on, certificates, world.store.settings.get(world.app.id, AUTO.name)

    def change(*, on: bool) -> None:
        do = world.letsencrypt.enable if on else world.letsencrypt.disable
        do(world.app, actor="ann", report=Silent())

    outcomes: dict[bool, set[tuple[bool, int, str | None]]] = {}
    for on in (True, False):
        begin = partial(settle, world, on=not on)
        begin()
        effects = counted_effects(partial(change, on=on))
        assert effects > 3
        for effect in range(effects):
            begin()
            killed_before(effect, partial(change, on=on))
            outcomes.setdefault(on, set()).add(state())
    assert outcomes[True] == {(False, 1, "off"), (True, 1, None)}
    assert outcomes[False] == {(True, 1, None), (False, 0, "off")}


def settle(world: World, *, on: bool) -> None:
    """Have it on, with a certificate of the authority's; or off, with one that is left."""
    world.issued("a.example", until=world.hands.time + 90 * 86400.0)
    if on:
        world.store.renewals.enable(world.app.id)
    else:
        world.store.renewals.disable(world.app.id)
    world.store.settings.set(world.app.id, AUTO.name, None if on else "off")
