"""The journal of events: how much of it is kept, and what goes on while it is pruned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.model.layout import Layout
from paas.store.store import Store

EVER = 1e9


def told(store: Store) -> list[str]:
    return [f"{one.app}:{one.what}" for one in store.events.tail(1000)]


def test_what_is_older_than_the_age_goes_and_nothing_else(store: Store) -> None:
    for number in range(5):
        store.events.add("ann", "shop", f"{number}")
    third = store.events.tail(3)[0]
    store.events.keep(count=1000, oldest=third.at)
    assert told(store) == ["shop:2", "shop:3", "shop:4"]
    store.events.keep(count=1000, oldest=-EVER)
    assert len(told(store)) == 3


def test_an_app_that_crashes_all_the_time_pushes_no_other_s_events_out(store: Store) -> None:
    store.events.add("ann", "shop", "created")
    store.events.add("supervisor", "", "freed")
    for number in range(50):
        store.events.add("supervisor", "flapping", f"crash {number}")
    store.events.keep(count=2, oldest=-EVER)
    assert told(store) == [
        "shop:created", ":freed", "flapping:crash 48", "flapping:crash 49",
    ]  # fmt: skip


def test_ids_go_on_behind_what_was_pruned(store: Store) -> None:
    """Who follows remembers the last id it saw: one that came again would never be shown."""
    for number in range(3):
        store.events.add("ann", "shop", f"{number}")
    seen = store.events.newest()
    store.events.keep(count=1, oldest=EVER)
    assert told(store) == []
    assert store.events.after(seen) == []
    store.events.add("ann", "shop", "behind")
    assert [one.what for one in store.events.after(seen)] == ["behind"]


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Store]:
    """A store whose journal was emptied before this program was started again."""
    ticks = itertools.count(1000)
    layout = Layout.at(tmp_path)
    before = Store(layout, lambda: float(next(ticks)))
    before.events.add("ann", "shop", "first")
    before.events.keep(count=1, oldest=EVER)
    before.close()
    store = Store(layout, lambda: float(next(ticks)))
    yield store
    store.close()


def test_nor_do_they_begin_again_with_another_start(reopened: Store) -> None:
    reopened.events.add("ann", "shop", "second")
    assert reopened.events.newest() == 2
