"""A clock that is set back changes no order: everything is in the order it happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.model.layout import Layout
from paas.store.store import Store

BACKWARDS = range(2000, 0, -100)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One whose clock goes back at each look."""
    ticks = iter(BACKWARDS)
    store = Store(Layout.at(tmp_path), lambda: float(next(ticks)))
    yield store
    store.close()


def test_releases_and_their_rollback_are_by_number(store: Store) -> None:
    app = store.apps.create("shop")
    for image in ("sha256:1", "sha256:2", "sha256:3"):
        store.releases.add(
            app.id, image=image, commit=None, config={}, processes={}, formation={}, health={},
            reason="Deploy", actor="ann",
        )  # fmt: skip
    assert [one.image[-1] for one in store.releases.list(app.id)] == ["3", "2", "1"]
    latest = store.releases.latest(app.id)
    assert latest is not None
    assert latest.number == 3
    store.releases.keep(app.id, 2)
    assert [one.number for one in store.releases.list(app.id)] == [3, 2]


def test_deploys_take_turns_as_they_came(store: Store) -> None:
    app = store.apps.create("shop")
    first = store.deploys.start(app.id, "a" * 40, "ann")
    second = store.deploys.start(app.id, "b" * 40, "ann")
    assert [one.id for one in store.deploys.unfinished()] == [first.id, second.id]
    assert [one.id for one in store.deploys.list(app.id)] == [second.id, first.id]


def test_events_and_the_history_of_config_tell_the_story_in_its_order(store: Store) -> None:
    app = store.apps.create("shop")
    for what in ("first", "second", "third"):
        store.events.add("ann", "shop", what)
    assert [one.what for one in store.events.tail(3)] == ["first", "second", "third"]
    newest = store.events.newest()
    store.events.add("ann", "shop", "fourth")
    assert [one.what for one in store.events.after(newest)] == ["fourth"]
    for key in ("A", "B", "C"):
        store.config.set(app.id, {key: "1"}, "ann")
    told = [one.key for one in store.config.history(app.id, 10)]
    assert told in (["A", "B", "C"], ["C", "B", "A"])
