"""Backups: whose they are, and what is known of those of a database from before that was kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from paas.model.backup import Backup, Verdict
from paas.model.layout import Layout
from paas.model.service import Service
from paas.store.store import Store


def create(store: Store) -> Service:
    # Opening the database makes the key that credentials are sealed by.
    assert store.services.list() == []
    return store.services.create("postgres", "db", version="17", memory=1, credentials={})


def test_backups_are_found_by_the_name_and_pruned_by_the_service(store: Store) -> None:
    first = create(store)
    old = store.backups.begin(first, "/t", "old", scheduled=True)
    store.services.remove(first.id)
    second = create(store)
    by_hand = store.backups.begin(second, "/t", "by hand", scheduled=False)
    new = store.backups.begin(second, "/t", "new", scheduled=True)
    assert store.backups.of(second) == [new, by_hand, old]
    assert store.backups.scheduled(second) == [new]


def test_one_that_was_good_stays_proven_whatever_is_found_later(store: Store) -> None:
    service = create(store)
    backup = store.backups.begin(service, "/t", "f", scheduled=True)
    for verdict, proven in (
        (Verdict.UNCHECKED, False),
        (Verdict.BAD, False),
        (Verdict.GOOD, True),
        (Verdict.BAD, True),
    ):
        store.backups.judge(backup, verdict, "")
        assert store.backups.get(service, backup.id).proven is proven


def test_those_of_an_older_version_get_their_service_and_the_benefit_of_the_doubt(
    tmp_path: Path,
) -> None:
    layout = Layout.at(tmp_path)
    store = Store(layout)
    service = create(store)
    store.close()
    with sqlite3.connect(layout.database) as raw:
        raw.execute("DELETE FROM schema_migrations WHERE name = '0220_backups_of_service'")
        raw.execute("PRAGMA user_version = 210")
        for column in ("service_id", "proven"):
            raw.execute(f"ALTER TABLE backups DROP COLUMN {column}")
        for at, verdict, sha256 in (
            (service.created_at - 1, "good", "a"),
            (service.created_at + 1, "bad", "b"),
            (service.created_at + 2, "bad", ""),
            (service.created_at + 3, "unchecked", "c"),
        ):
            raw.execute(
                "INSERT INTO backups (plugin, service, version, target, file, verdict, sha256,"
                " started_at) VALUES ('postgres', 'db', '17', '/t', 'f', ?, ?, ?)",
                (verdict, sha256, at),
            )
    raw.close()
    upgraded = Store(layout)

    def told(one: Backup) -> tuple[int, bool]:
        return one.service_id, one.proven

    assert [told(one) for one in reversed(upgraded.backups.of(service))] == [
        (0, True),
        (service.id, True),
        (service.id, False),
        (service.id, False),
    ]
    upgraded.close()
