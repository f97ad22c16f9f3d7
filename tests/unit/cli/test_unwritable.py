"""A database that is locked, full or read-only: each command that writes says so, and writes
nothing; what only looks goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from paas.host.database import Database
from tests.unit.cli.caller import ROOT, Paas

WRITES = (
    "apps:create fresh",
    "apps:lock shop --reason busy",
    "ps:set shop stop-timeout-seconds 5",
    "checks:set shop boot-seconds 9",
    "logs:set shop retain-count 7",
    "releases:retain shop 9",
    "builder:set shop build-dir sub",
    "buildpacks:add shop python",
    "access:add shop ben viewer",
    "access:add --global ben",
    "ssh-keys:remove ann",
)
READS = (
    "apps:list",
    "config:show shop",
    "events",
    "ssh-keys:list",
    "releases shop",
)

Condition = Callable[[Paas, sqlite3.Connection], None]


def read_only(_: Paas, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")


def full(_: Paas, connection: sqlite3.Connection) -> None:
    [used] = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {used}")


def locked(_: Paas, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout = 20")


@contextmanager
def someone_writing(paas: Paas, *, writing: bool) -> Iterator[None]:
    """Another process in the middle of a transaction, if so."""
    with closing(sqlite3.connect(paas.layout.database, isolation_level=None)) as other:
        if writing:
            other.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def shop(paas: Paas) -> Paas:
    paas.store.apps.create("shop")
    paas.store.users.add("ben", admin=False)
    paas.store.close()
    return paas


def contents(paas: Paas) -> list[str]:
    with closing(sqlite3.connect(paas.layout.database)) as database:
        return list(database.iterdump())


def conditioned(condition: Condition, paas: Paas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every connection that a command opens be in that condition."""
    set_up = Database._set_up

    def set_up_so(self: Database, connection: sqlite3.Connection) -> None:
        set_up(self, connection)
        condition(paas, connection)

    monkeypatch.setattr(Database, "_set_up", set_up_so)


@pytest.mark.parametrize(
    ("condition", "words"), [(read_only, "it is read-only"), (locked, "keeps it locked")]
)
def test_no_command_writes_half_and_each_says_why(
    shop: Paas, condition: Condition, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(shop)
    conditioned(condition, shop, monkeypatch)
    with someone_writing(shop, writing=condition is locked):
        for line in WRITES:
            said = shop(*line.split(), caller=ROOT)
            assert (said.code, words in said.err) == (1, True), (line, said)
        for line in READS:
            assert shop(*line.split(), caller=ROOT).code == 0, line
    assert contents(shop) == before
    assert shop.published in ([], [[]])


def test_a_full_disk_is_said_and_leaves_all_as_it_was(
    shop: Paas, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditioned(full, shop, monkeypatch)
    made: list[str] = []
    for number in range(400):
        before = contents(shop)
        said = shop("apps:create", f"app{number}-{'x' * 50}", caller=ROOT)
        if said.code != 0:
            break
        made.append(f"app{number}")
    assert made, said
    assert (said.code, "the disk is full" in said.err) == (1, True), said
    assert contents(shop) == before
    assert len(shop("apps:list", "--quiet", caller=ROOT).lines) == len(made) + 1
