"""A database that cannot be written to is one sentence with a remedy, and nothing half done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host.database import Database, DatabaseBroken, DatabaseUnwritable, Unique

SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;"
LARGE = "x" * 100_000


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_notes.sql").write_text(SCHEMA)
    return folder


@pytest.fixture
def db(tmp_path: Path, migrations: Path) -> Iterator[Database]:
    db = Database(tmp_path / "db", migrations)
    db.execute("INSERT INTO notes (text) VALUES ('kept')")
    yield db
    db.close()


def texts(db: Database) -> list[str]:
    return [row["text"] for row in db.execute("SELECT text FROM notes")]


def write_two(db: Database, second: str) -> None:
    with db.transaction():
        db.execute("INSERT INTO notes (text) VALUES ('first')")
        db.execute("INSERT INTO notes (text) VALUES (?)", (second,))


def test_a_full_disk_is_named_and_the_whole_transaction_undone(db: Database) -> None:
    [row] = db.execute("PRAGMA page_count")
    db.execute(f"PRAGMA max_page_count = {row[0] + 2}")
    with pytest.raises(DatabaseUnwritable, match="the disk is full") as caught:
        write_two(db, LARGE)
    assert "paas doctor" in caught.value.resolution
    assert texts(db) == ["kept"]
    db.execute("PRAGMA max_page_count = 100000")
    write_two(db, LARGE)


def test_a_locked_database_names_who_to_look_for(db: Database, tmp_path: Path) -> None:
    db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnwritable, match="keeps it locked") as caught:
        write_two(db, "second")
    assert f"fuser -v {tmp_path / 'db'}" in caught.value.resolution
    other.execute("ROLLBACK")
    other.close()
    write_two(db, "second")


def test_a_read_only_database_can_still_be_read(db: Database) -> None:
    db.execute("PRAGMA query_only = ON")
    with pytest.raises(DatabaseUnwritable, match="read-only"):
        write_two(db, "second")
    assert texts(db) == ["kept"]


def test_a_damaged_file_is_not_taken_for_a_bug(tmp_path: Path, migrations: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseBroken, match="it is not a database"):
        Database(tmp_path / "garbage", migrations).execute("SELECT 1")


def test_a_place_that_cannot_be_written_to_is_named(migrations: Path) -> None:
    with pytest.raises(DatabaseUnwritable, match="/proc/version cannot be used"):
        Database(Path("/proc/version"), migrations).execute("SELECT 1")


def test_a_mistake_of_ours_stays_one(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        db.execute("SELECT * FROM nowhere")
    with pytest.raises(Unique), db.transaction():
        db.execute("INSERT INTO notes (text) VALUES ('kept')")
    write_two(db, "second")


def test_a_migration_may_call_what_it_is_given(tmp_path: Path, migrations: Path) -> None:
    Database(tmp_path / "old", migrations).execute("INSERT INTO notes (text) VALUES ('plain')")
    (migrations / "0002_sealed.sql").write_text("UPDATE notes SET text = turned(text, 'x');")
    db = Database(tmp_path / "old", migrations, {"turned": lambda text, _: text[::-1]})
    assert texts(db) == ["nialp"]
    for file in tmp_path.glob("old*"):
        assert b"plain" not in file.read_bytes(), file
