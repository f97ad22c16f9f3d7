"""A database that cannot be written to is one sentence with a remedy, and nothing half done."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

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


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])


def counted(path: Path, number: int, *scripts: str) -> Path:
    """A database of a version that kept the newest number alone."""
    with closing(sqlite3.connect(path)) as raw:
        for script in scripts:
            raw.executescript(script)
        raw.execute(f"PRAGMA user_version={number:d}")
    return path


def test_a_migration_that_lands_later_with_a_lower_number_is_applied(
    tmp_path: Path, migrations: Path
) -> None:
    (migrations / "0030_late.sql").write_text("CREATE TABLE late (id INTEGER) STRICT;")
    Database(tmp_path / "old", migrations).execute("INSERT INTO notes (text) VALUES ('kept')")
    (migrations / "0020_early.sql").write_text("CREATE TABLE early (id INTEGER) STRICT;")
    db = Database(tmp_path / "old", migrations)
    assert db.execute("SELECT * FROM early") == []
    assert texts(db) == ["kept"]
    names = [row["name"] for row in db.execute("SELECT name FROM schema_migrations ORDER BY name")]
    assert names == ["0001_notes", "0020_early", "0030_late"]


def test_a_database_that_only_counted_gets_what_it_lacks(tmp_path: Path, migrations: Path) -> None:
    added = "ALTER TABLE notes ADD COLUMN colour TEXT;"
    (migrations / "0040_colour.sql").write_text(f"-- Why.\n{added}")
    old = counted(tmp_path / "old", 40, SCHEMA, "INSERT INTO notes (text) VALUES ('kept');", added)
    (migrations / "0030_early.sql").write_text("CREATE TABLE early (id INTEGER) STRICT;")
    (migrations / "0035_size.sql").write_text("ALTER TABLE notes ADD COLUMN size INTEGER;")
    db = Database(old, migrations)
    assert [*db.execute("SELECT text, colour, size FROM notes")[0]] == ["kept", None, None]
    assert db.execute("SELECT * FROM early") == []


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path, migrations: Path) -> None:
    (migrations / "0030_late.sql").write_text("CREATE TABLE late (id INTEGER) STRICT;")
    Database(tmp_path / "new", migrations).execute("SELECT 1")
    before = version(tmp_path / "new")
    counted(tmp_path / "counted", 30, SCHEMA)
    (migrations / "0030_late.sql").unlink()
    for name in ("new", "counted"):
        with pytest.raises(DatabaseBroken, match="newer version"):
            Database(tmp_path / name, migrations).execute("SELECT 1")
    assert version(tmp_path / "new") == before
    assert version(tmp_path / "counted") == 30


def test_a_migration_that_fails_leaves_none_of_itself(tmp_path: Path, migrations: Path) -> None:
    db = Database(tmp_path / "old", migrations)
    db.execute("SELECT 1")
    before = version(tmp_path / "old")
    db.close()
    bad = migrations / "0020_bad.sql"
    bad.write_text("CREATE TABLE half (id INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Database(tmp_path / "old", migrations).execute("SELECT 1")
    assert version(tmp_path / "old") == before
    bad.write_text("CREATE TABLE half (id INTEGER) STRICT;")
    assert Database(tmp_path / "old", migrations).execute("SELECT * FROM half") == []


def test_opening_what_is_up_to_date_reads_one_pragma(tmp_path: Path, migrations: Path) -> None:
    Database(tmp_path / "db", migrations).execute("SELECT 1")
    told: list[str] = []
    with closing(sqlite3.connect(tmp_path / "db")) as raw:
        raw.set_trace_callback(told.append)
        assert not Database(tmp_path / "db", migrations)._migrate(raw)
    assert told == ["PRAGMA user_version"]


def locked(path: Path) -> bool:
    """Whether another process keeps it from being written to."""
    asked = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    )
    return subprocess.run([sys.executable, "-c", asked, path], capture_output=True).returncode != 0


@pytest.mark.parametrize("inherited", ["open", "garbage"])
def test_a_child_has_the_locks_it_believes_to_have(
    tmp_path: Path, migrations: Path, inherited: str
) -> None:
    """Also on a file that its parent had open (https://sqlite.org/howtocorrupt.html, 2.6)."""
    path = tmp_path / "x"
    parents = [Database(path, migrations)]
    parents[0].execute("INSERT INTO notes (text) VALUES ('kept')")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mine = Database(path, migrations) if inherited == "garbage" else parents[0]
            with mine.transaction():
                mine.execute("INSERT INTO notes (text) VALUES ('more')")
                if inherited == "garbage":
                    parents.clear()
                    gc.collect()
                code = 0 if locked(path) else 2
        finally:
            os._exit(code)
    # A parent that closes must not take the journal from under the child.
    parents[0].close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    again = Database(path, migrations)
    assert texts(again) == ["kept", "more"]
    again.close()


def test_a_transaction_that_forks_goes_on(db: Database) -> None:
    with db.transaction():
        db.execute("INSERT INTO notes (text) VALUES ('before')")
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        db.execute("INSERT INTO notes (text) VALUES ('behind')")
    assert texts(db) == ["kept", "before", "behind"]


def test_another_thread_that_opens_it_takes_no_lock_away(tmp_path: Path, db: Database) -> None:
    """Closing any descriptor of a file drops all locks of the process (howtocorrupt, 2.2): the
    next process that closes it would take itself for the last one and remove the journal."""
    thread = Thread(target=lambda: (texts(db), db.close()))
    thread.start()
    thread.join()
    ask = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM notes'); c.close()"  # noqa: E501
    subprocess.run([sys.executable, "-c", ask, tmp_path / "db"], check=True)
    assert (tmp_path / "db-wal").exists()


def test_all_that_open_a_new_one_at_once_have_it(tmp_path: Path, migrations: Path) -> None:
    """Without the mending it fails for one of a hundred."""
    refused: list[Exception] = []
    for number in range(30):
        together = Barrier(6)

        def read(path: Path = tmp_path / f"db{number}", together: Barrier = together) -> None:
            with closing(Database(path, migrations)) as db:
                together.wait()
                try:
                    texts(db)
                except DatabaseUnwritable as error:
                    refused.append(error)

        threads = [Thread(target=read) for _ in range(together.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert refused == []


def test_its_state_is_the_same_until_somebody_changes_something(
    db: Database, tmp_path: Path
) -> None:
    state = db.state
    assert state is not None
    texts(db)
    assert db.state == state
    db.execute("INSERT INTO notes (text) VALUES ('ours')")
    mine = db.state
    assert mine != state
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("INSERT INTO notes (text) VALUES ('theirs')")
    assert db.state not in (state, mine)


def test_its_state_is_nobody_s_inside_a_transaction(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.execute("INSERT INTO notes (text) VALUES ('undone')")
        assert db.state is None
        raise ZeroDivisionError
    undone = db.state
    assert undone is not None
    db.execute("INSERT INTO notes (text) VALUES ('done')")
    assert db.state != undone
