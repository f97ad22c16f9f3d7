"""Apps: names, ids that are never used again, and what goes with an app."""

from __future__ import annotations

import pytest

from paas.host.database import Unique
from paas.model.settings import DRAIN_SECONDS
from paas.store.apps import AppNotFound, NameTaken
from paas.store.store import Store
from tests.unit.store.test_releases import add_release


def test_a_missing_app_is_exit_20(store: Store) -> None:
    with pytest.raises(AppNotFound, match="App shop does not exist") as caught:
        store.apps.get("shop")
    assert caught.value.code == 20
    assert store.apps.find("shop") is None
    assert store.apps.by_id(1) is None
    for change in (store.apps.destroy, lambda name: store.apps.rename(name, "x")):
        with pytest.raises(AppNotFound):
            change("shop")


def test_a_missing_app_with_control_characters_is_named_in_one_line() -> None:
    assert AppNotFound("a\x1b[2J\nb").brief.isprintable()


def test_a_name_is_given_once(store: Store) -> None:
    store.apps.create("shop")
    store.apps.create("other")
    with pytest.raises(NameTaken, match="Name is already taken"):
        store.apps.create("shop")
    with pytest.raises(NameTaken):
        store.apps.rename("other", "shop")
    assert [app.name for app in store.apps.list()] == ["other", "shop"]


def test_a_rename_keeps_the_id_and_everything_that_hangs_on_it(store: Store) -> None:
    app = store.apps.create("shop")
    store.domains.add(app.id, "a.example")
    assert store.apps.rename("shop", "store").id == app.id
    assert store.domains.list(app.id) == ["a.example"]
    assert store.apps.find("shop") is None


def test_an_id_is_never_used_again(store: Store) -> None:
    first = store.apps.create("shop")
    store.apps.destroy("shop")
    assert store.apps.create("shop").id > first.id


def test_destroying_an_app_leaves_no_row_of_it(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    for each in (app, other):
        release = add_release(store, each.id)
        store.apps.set_live(each.id, release.number)
        deploy = store.deploys.start(each.id, None, "ann")
        store.instances.add(
            each.id, release=1, process_type="web", index=1, container=f"c{each.id}",
            address="10.0.0.1", port=5000, deploy=deploy.id,
        )  # fmt: skip
        store.config.set(each.id, {"A": "b"})
        store.config.set_formation(each.id, {"web": 2})
        store.domains.add(each.id, f"{each.name}.example")
        store.settings.set(each.id, DRAIN_SECONDS.name, "3")
    store.events.add("ann", "shop", "destroyed")
    store.apps.destroy("shop")

    assert store.releases.list(app.id) == []
    assert store.deploys.list(app.id) == []
    assert store.instances.list(app.id) == []
    assert store.config.get(app.id) == {}
    assert store.config.formation(app.id) == {}
    assert store.settings.get(app.id, DRAIN_SECONDS.name) is None
    assert store.domains.all() == {"other.example": other.id}
    assert len(store.instances.list()) == 1
    assert [event.what for event in store.events.tail(9, "shop")] == ["destroyed"]


def test_only_a_release_of_the_app_can_be_live(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    add_release(store, other.id)
    with pytest.raises(Unique):
        store.apps.set_live(app.id, 1)
    assert store.apps.get("shop").live is None
    add_release(store, app.id)
    store.apps.set_live(app.id, 1)
    assert store.apps.get("shop").live == 1


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        app = store.apps.create("shop")
        with store.transaction():
            store.config.set(app.id, {"A": "b"})
        store.apps.set_stopped(app.id, stopped=True)
        _ = 1 / 0
    assert store.apps.list() == []
    with store.transaction():
        app = store.apps.create("shop")
        store.apps.set_stopped(app.id, stopped=True)
        store.apps.set_branch(app.id, "main")
    found = store.apps.get("shop")
    assert (found.stopped, found.branch, found.can_run) == (True, "main", False)
