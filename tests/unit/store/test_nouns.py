"""Config, domains, keys, settings, events."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.model.env import Secret
from paas.model.key import PublicKey
from paas.model.settings import DOMAIN, DRAIN_SECONDS, HTTP_PORT
from paas.store.domains import DomainNotFound, DomainTaken
from paas.store.keys import KeyNotFound, KeyTaken
from paas.store.store import Store

ED = PublicKey("ssh-ed25519", "AAAA", "ann", "SHA256:one")


def test_a_domain_has_one_owner_who_is_named(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    store.domains.add(app.id, "a.example")
    store.domains.add(app.id, "a.example")
    with pytest.raises(DomainTaken, match="belongs to app shop"):
        store.domains.add(other.id, "a.example")
    with pytest.raises(DomainNotFound) as caught:
        store.domains.remove(other.id, "a.example")
    assert caught.value.code == 20
    store.domains.remove(app.id, "a.example")
    store.domains.add(other.id, "a.example")
    assert store.domains.all() == {"a.example": other.id}


def test_domains_are_listed_in_the_order_they_came(store: Store) -> None:
    app = store.apps.create("shop")
    for name in ("z.example", "a.example"):
        store.domains.add(app.id, name)
    assert store.domains.list(app.id) == ["z.example", "a.example"]


def test_a_key_is_registered_once_by_name_and_by_what_it_is(store: Store) -> None:
    for name in ("ann", "bob"):
        store.users.add(name, admin=False)
    store.keys.add("ann", ED)
    with pytest.raises(KeyTaken, match="named ann"):
        store.keys.add("ann", PublicKey("ssh-ed25519", "BBBB", "", "SHA256:two"))
    with pytest.raises(KeyTaken, match="as ann"):
        store.keys.add("bob", ED)
    with pytest.raises(KeyNotFound, match="bob"):
        store.keys.remove("bob")
    assert [key.name for key in store.keys.list()] == ["ann"]
    found = store.keys.find("ann")
    assert found is not None
    assert found.public_key == "ssh-ed25519 AAAA"
    store.keys.remove("ann")
    store.keys.add("bob", ED)
    store.users.remove("bob")
    assert store.keys.list() == []


def test_config_is_changed_by_key(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    store.config.set(other.id, {"A": "other"})
    store.config.set(app.id, {"B": "1", "A": Secret("2")})
    store.config.set(app.id, {"A": "3"})
    store.config.unset(app.id, ["B", "NOWHERE"])
    assert store.config.get(app.id) == {"A": Secret("3")}
    before = store.config.get(app.id)
    store.config.replace(app.id, {"C": Secret("4")}, since=before)
    assert store.config.get(app.id) == {"C": Secret("4")}
    store.config.replace(app.id, {"A": Secret("5"), "B": Secret("5")}, since=before)
    assert store.config.get(app.id) == {"B": Secret("5"), "C": Secret("4")}
    assert store.config.get(other.id) == {"A": Secret("other")}


@given(value=st.text(st.characters(exclude_characters="\0", codec="utf-8")))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_comes_back_as_it_was(store: Store, value: str) -> None:
    app = store.apps.find("shop") or store.apps.create("shop")
    store.config.set(app.id, {"A": value})
    assert store.config.get(app.id)["A"].reveal() == value


def test_formation_keeps_what_is_not_named(store: Store) -> None:
    app = store.apps.create("shop")
    store.config.set_formation(app.id, {"web": 2, "worker": 1})
    store.config.set_formation(app.id, {"worker": 0})
    assert store.config.formation(app.id) == {"web": 2, "worker": 0}


def test_a_setting_is_the_app_s_else_the_server_s_else_the_default(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    value = store.settings.value
    assert value(DRAIN_SECONDS, app.id) == DRAIN_SECONDS.default
    store.settings.set(None, DRAIN_SECONDS.name, "7")
    store.settings.set(app.id, DRAIN_SECONDS.name, "3")
    assert (value(DRAIN_SECONDS, app.id), value(DRAIN_SECONDS, other.id)) == (3, 7)
    assert value(DRAIN_SECONDS) == 7
    store.settings.set(app.id, DRAIN_SECONDS.name, None)
    assert value(DRAIN_SECONDS, app.id) == 7
    assert store.settings.get(app.id, DRAIN_SECONDS.name) is None


def test_what_is_the_server_s_alone_is_never_an_app_s(store: Store) -> None:
    app = store.apps.create("shop")
    store.settings.set(app.id, HTTP_PORT.name, "8080")
    assert store.settings.value(HTTP_PORT, app.id) == 80
    assert store.settings.value(DOMAIN) == ""


def test_events_are_told_oldest_first_and_by_app(store: Store) -> None:
    for number in range(5):
        store.events.add("ann", "shop" if number % 2 else "other", f"did {number}")
    assert [event.what for event in store.events.tail(2)] == ["did 3", "did 4"]
    assert [event.what for event in store.events.tail(9, "shop")] == ["did 1", "did 3"]


def test_the_database_is_private_and_a_child_opens_its_own(store: Store) -> None:
    store.apps.create("shop")
    assert store.apps._db.path.stat().st_mode & 0o777 == 0o600
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store.apps.create("from-a-child")
            os.write(write, str(len(store.apps.list())).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"2"
    os.close(read)
    os.close(write)
    assert [app.name for app in store.apps.list()] == ["from-a-child", "shop"]
