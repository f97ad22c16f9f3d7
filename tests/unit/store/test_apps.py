"""Apps: names, ids that are never used again, and what goes with an app."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from paas.host.database import Unique, split_statements
from paas.model.layout import Layout
from paas.model.settings import DEPLOY_BRANCH, DRAIN_SECONDS
from paas.store.apps import AppNotFound, NameTaken
from paas.store.store import Store
from tests.unit.store.test_releases import add_release


def test_a_missing_app_is_exit_20(store: Store) -> None:
    with pytest.raises(AppNotFound, match="App shop does not exist") as caught:
        store.apps.get("shop")
    assert caught.value.code == 20
    assert store.apps.find("shop") is None
    assert store.apps.by_id(1) is None
    gone = store.apps.create("shop")
    store.apps.destroy(gone)
    store.apps.create("shop")
    for change in (store.apps.destroy, lambda app: store.apps.rename(app, "x")):
        with pytest.raises(AppNotFound):
            change(gone)
    assert store.apps.find("shop") is not None


def test_a_missing_app_with_control_characters_is_named_in_one_line() -> None:
    assert AppNotFound("a\x1b[2J\nb").brief.isprintable()


def test_a_name_is_given_once(store: Store) -> None:
    store.apps.create("shop")
    other = store.apps.create("other")
    with pytest.raises(NameTaken, match="Name is already taken"):
        store.apps.create("shop")
    with pytest.raises(NameTaken):
        store.apps.rename(other, "shop")
    assert [app.name for app in store.apps.list()] == ["other", "shop"]


def test_a_rename_keeps_the_id_and_everything_that_hangs_on_it(store: Store) -> None:
    app = store.apps.create("shop")
    store.domains.add(app.id, "a.example")
    assert store.apps.rename(app, "store").id == app.id
    assert store.domains.list(app.id) == ["a.example"]
    assert store.apps.find("shop") is None


def test_an_id_is_never_used_again(store: Store) -> None:
    first = store.apps.create("shop")
    store.apps.destroy(first)
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
    store.apps.destroy(app)

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
    found = store.apps.get("shop")
    assert (found.stopped, found.can_run) == (True, False)


def test_the_branch_of_a_first_push_is_the_app_s_unless_one_was_set(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    assert store.settings.deploy_branch(app.id) is None
    store.settings.adopt_branch(app.id, "master")
    store.settings.adopt_branch(app.id, "main")
    assert store.settings.deploy_branch(store.apps.rename(app, "store").id) == "master"
    store.settings.set(None, DEPLOY_BRANCH.name, "trunk")
    store.settings.adopt_branch(other.id, "main")
    assert store.settings.deploy_branch(other.id) == "trunk"
    assert store.settings.get(other.id, DEPLOY_BRANCH.name) is None
    store.settings.set(None, DEPLOY_BRANCH.name, None)
    assert [store.settings.deploy_branch(one.id) for one in (app, other)] == ["master", None]


def test_a_database_from_before_keeps_the_branches_of_its_apps(tmp_path: Path) -> None:
    """Also one that could not be set today; it is read as it is."""
    old = sqlite3.connect(tmp_path / "paas.db", isolation_level=None)
    for name in ("0001_initial.sql", "0002_certificates.sql"):
        for statement in split_statements((files("paas.store") / "migrations" / name).read_text()):
            old.execute(statement)
    old.execute("PRAGMA user_version=2")
    for name, branch in (("shop", "-x"), ("new", None)):
        values = (name, branch)
        old.execute("INSERT INTO apps (name, created_at, branch) VALUES (?, 0, ?)", values)
    old.close()

    store = Store(Layout.at(tmp_path))
    branches = {app.name: store.settings.deploy_branch(app.id) for app in store.apps.list()}
    assert branches == {"shop": "-x", "new": None}
    store.close()
