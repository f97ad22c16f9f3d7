"""Config at rest: sealed in rows and snapshots, also those of a database from before."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from paas.host.database import split_statements
from paas.host.secrets import KeyLost, Tampered
from paas.model.env import Secret
from paas.model.layout import Layout
from paas.store.config import Change
from paas.store.store import Store
from tests.unit.store.test_releases import add_release

NEEDLE = "hunter2hunter2"


def at_rest(folder: Path) -> bytes:
    """Every byte of the database's files."""
    return b"".join(path.read_bytes() for path in folder.glob("paas.db*"))


def test_no_value_lies_in_the_database(store: Store, tmp_path: Path) -> None:
    app = store.apps.create("shop")
    store.config.set(app.id, {"PASSWORD": NEEDLE}, "ann")
    store.config.set(None, {"PROXY": NEEDLE}, "root")
    release = add_release(store, app.id)
    assert b"PASSWORD" in at_rest(tmp_path)
    assert NEEDLE.encode() not in at_rest(tmp_path)
    assert "grüße".encode() not in at_rest(tmp_path)
    assert store.config.get(app.id) == {"PASSWORD": Secret(NEEDLE)}
    assert store.releases.get(app.id, 1) == release


def test_a_value_moved_to_another_app_does_not_open(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    store.config.set(app.id, {"PASSWORD": NEEDLE})
    store._db.execute(
        "INSERT INTO config SELECT ?, key, value FROM config WHERE app_id = ?", (other.id, app.id)
    )
    with pytest.raises(Tampered, match=f"config/{other.id}/PASSWORD"):
        store.config.get(other.id)
    assert store.config.keys(other.id) == ["PASSWORD"]


def test_without_the_key_nothing_is_read_and_no_new_one_is_made(
    store: Store, tmp_path: Path
) -> None:
    app = store.apps.create("shop")
    store.config.set(app.id, {"PASSWORD": NEEDLE})
    store.close()
    (tmp_path / "secret.key").unlink()
    again = Store(Layout.at(tmp_path))
    for attempt in (lambda: again.config.get(app.id), lambda: again.config.set(app.id, {"A": "b"})):
        with pytest.raises(KeyLost, match=r"secret\.key"):
            attempt()
    assert not (tmp_path / "secret.key").exists()
    again.close()


def test_a_database_from_before_is_sealed_when_it_is_first_opened(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "paas.db", isolation_level=None)
    for name in ("0001_initial.sql", "0002_certificates.sql"):
        for statement in split_statements((files("paas.store") / "migrations" / name).read_text()):
            old.execute(statement)
    old.execute("PRAGMA user_version=2")
    old.execute("INSERT INTO apps (id, name, created_at, last_release) VALUES (7, 'shop', 0, 1)")
    old.execute("INSERT INTO config VALUES (7, 'PASSWORD', ?)", (NEEDLE,))
    old.execute(
        "INSERT INTO releases VALUES (7, 1, 'i', NULL, json_object('PASSWORD', ?),"
        " '{\"web\": null}', '{\"web\": 1}', '{}', 'Deploy', 'ann', 0)",
        (NEEDLE,),
    )
    old.close()

    store = Store(Layout.at(tmp_path))
    assert store.config.get(7) == {"PASSWORD": Secret(NEEDLE)}
    assert store.releases.get(7, 1).config == {"PASSWORD": Secret(NEEDLE)}
    assert NEEDLE.encode() not in at_rest(tmp_path)
    store.close()


def test_what_every_app_has_lies_below_its_own(store: Store) -> None:
    app = store.apps.create("shop")
    store.config.set(None, {"PROXY": "global", "REGION": "eu"})
    store.config.set(app.id, {"PROXY": "own", "A": "1"})
    assert store.config.effective(app.id) == {
        "A": Secret("1"),
        "PROXY": Secret("own"),
        "REGION": Secret("eu"),
    }
    assert store.config.inherited(app.id) == {"REGION"}
    store.config.unset(None, ["REGION"])
    assert store.config.inherited(app.id) == set()


def test_history_says_who_and_when_and_never_what(store: Store) -> None:
    app = store.apps.create("shop")
    store.config.set(app.id, {"A": NEEDLE, "B": "1"}, "ann")
    store.config.set(app.id, {"A": NEEDLE, "B": "2"}, "bob")
    store.config.unset(app.id, ["A", "NOWHERE"], "ann")
    told = store.config.history(app.id, 10)
    assert [(one.actor, one.what, one.key) for one in told] == [
        ("ann", "unset", "A"),
        ("bob", "changed", "B"),
        ("ann", "set", "B"),
        ("ann", "set", "A"),
    ]
    assert told[0].at > told[-1].at
    assert all(isinstance(one, Change) and NEEDLE not in repr(one) for one in told)
    assert store.config.history(None, 10) == []
