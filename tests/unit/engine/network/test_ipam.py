"""Which address is handed out, to whoever asks at the same time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.resources import files
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from paas.engine.network.addresses import FIRST_INSTANCE, FIRST_SERVICE, Plan, PoolExhausted
from paas.engine.network.ipam import Leases
from paas.host.database import Database

PLAN = Plan(IPv4Network("10.200.0.0/16"))
FILL = """
    WITH RECURSIVE n (x) AS (SELECT :first UNION ALL SELECT x + 1 FROM n WHERE x + 1 < :end)
    INSERT INTO leases (container, owner, number) SELECT 'c' || x, '', x FROM n
"""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "network.db", files("paas.engine.network.observed"))
    yield db
    db.close()


def fill(db: Database, first: int, end: int) -> None:
    db.execute(FILL, {"first": first, "end": end})


def number(leases: Leases, container: str) -> int:
    return PLAN.number(leases.take(container).address)


def test_a_pool_without_a_free_address_is_exhausted(db: Database) -> None:
    fill(db, FIRST_INSTANCE, FIRST_SERVICE)
    with pytest.raises(PoolExhausted):
        Leases(db, PLAN).take("new")
    Leases(db, PLAN).give_back("c4711")
    assert number(Leases(db, PLAN), "new") == 4711


def test_none_comes_back_soon_nor_while_a_service_leads_to_it(db: Database) -> None:
    leases = Leases(db, PLAN)
    assert number(leases, "one") == FIRST_INSTANCE
    leases.give_back("one")
    db.execute("INSERT INTO backends VALUES ('app:1/web', 0, ?, 5000)", (FIRST_INSTANCE + 1,))
    assert number(leases, "two") == FIRST_INSTANCE + 2
    assert number(leases, "two") == FIRST_INSTANCE + 2
    # Behind the last one it begins again at the first.
    db.execute("UPDATE cursor SET number = ?", (FIRST_SERVICE - 1,))
    assert number(leases, "three") == FIRST_INSTANCE


@contextmanager
def busy_threads(count: int) -> Iterator[None]:
    """Threads that want to run all the time, as on a machine that is slow or crowded."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            pass

    threads = [threading.Thread(target=spin) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_nobody_has_the_database_locked_while_its_thread_may_wait_for_its_turn(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite is asked again and again for a lock, in vain when there are many threads."""
    execute, asked = Database.execute, []
    with closing(sqlite3.connect(db.path, timeout=0, isolation_level=None)) as other:

        def executed(self: Database, *statement: Any) -> Any:
            rows = execute(self, *statement)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            asked.append(statement)
            return rows

        monkeypatch.setattr(Database, "execute", executed)
        Leases(db, PLAN).take("new")
    assert len(asked) > 1


def test_who_asks_in_a_crowd_gets_an_address_of_its_own(db: Database) -> None:
    leases = Leases(db, PLAN)
    fill(db, FIRST_INSTANCE, FIRST_INSTANCE + 200)

    def take(name: str) -> int:
        try:
            return number(leases, name)
        finally:
            db.close()

    with busy_threads(4), ThreadPoolExecutor(20) as pool:
        taken = list(pool.map(take, (f"new{one}" for one in range(20))))
    assert sorted(taken) == [FIRST_INSTANCE + 200 + one for one in range(20)]
