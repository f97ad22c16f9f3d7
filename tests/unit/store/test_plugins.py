"""The plugins table."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from paas.model.env import Secret
from paas.model.layout import Layout
from paas.store.plugins import PluginExists, PluginNotFound
from paas.store.store import Store


def test_one_is_added_disabled_and_enabled_with_what_it_was_granted(store: Store) -> None:
    store.plugins.add("a", "https://x", "v1", "c0ffee", "ann")
    assert store.plugins.enabled() == []
    store.plugins.enable("a", "c0ffee", "sha256:1", ("reads x",))
    [row] = store.plugins.enabled()
    assert (row.active, row.image, row.granted) == ("c0ffee", "sha256:1", ("reads x",))
    assert not row.waits
    store.plugins.set_latest("a", "decaf", "v2")
    assert store.plugins.get("a").waits
    store.plugins.disable("a")
    assert (store.plugins.get("a").enabled, store.plugins.get("a").granted) == (False, ())


def test_a_name_is_there_once_and_a_missing_one_is_said(store: Store) -> None:
    store.plugins.add("a", "x", "", "1", "ann")
    with pytest.raises(PluginExists):
        store.plugins.add("a", "y", "", "2", "ann")
    with pytest.raises(PluginNotFound) as raised:
        store.plugins.get("b\x1b")
    assert raised.value.code == 20
    assert raised.value.brief.isprintable()


def test_it_is_told_of_nothing_before_it_was_enabled(store: Store) -> None:
    store.plugins.add("a", "x", "", "1", "ann")
    store.events.add("ann", "shop", "released")
    store.plugins.enable("a", "1", "", ())
    assert store.plugins.behind(store.events.newest()) == []
    store.events.add("ann", "shop", "released")
    assert store.plugins.behind(store.events.newest()) == ["a"]
    # A new version of it goes on where the one before it was.
    store.plugins.enable("a", "2", "", ())
    assert store.plugins.behind(store.events.newest()) == ["a"]
    store.plugins.set_seen("a", store.events.newest())
    assert store.plugins.behind(store.events.newest()) == []


def test_what_was_set_for_it_is_sealed_for_it_alone(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.plugins.add(name, "x", "", "1", "ann")
    store.plugins.configure("a", {"URL": Secret("hunter2"), "OLD": Secret("x")})
    store.plugins.configure("a", {"OLD": None})
    assert store.plugins.settings("a") == {"URL": Secret("hunter2")}
    assert store.plugins.settings("b") == {}
    store.close()
    layout = Layout.at(tmp_path)
    for path in layout.root.glob("paas.db*"):
        assert b"hunter2" not in path.read_bytes()
    with sqlite3.connect(layout.database) as db:
        db.execute("UPDATE plugin_settings SET plugin = 'b'")
    db.close()
    with pytest.raises(Exception, match="was not written by this server"):
        store.plugins.settings("b")


def test_the_last_failure_is_kept_until_a_run_goes_well(store: Store) -> None:
    store.plugins.add("a", "x", "", "1", "ann")
    store.plugins.set_error("a", "exited with code 3" * 200)
    assert len(store.plugins.get("a").error) == 1000
    store.plugins.set_error("a", "")
    assert (store.plugins.get("a").error, store.plugins.get("a").error_at) == ("", 0)


def test_a_removed_one_takes_its_settings_along(store: Store) -> None:
    store.plugins.add("a", "x", "", "1", "ann")
    store.plugins.configure("a", {"URL": Secret("x")})
    store.plugins.remove("a")
    store.plugins.add("a", "x", "", "1", "ann")
    assert store.plugins.settings("a") == {}
