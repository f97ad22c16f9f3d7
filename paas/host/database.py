"""The door to SQLite: opening, numbered migrations, transactions.

A database is opened lazily, never across a fork: paasd's master opens none, each
command opens its own (https://sqlite.org/howtocorrupt.html, section 2.6).
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path

from paas.errors import PaasError
from paas.host.migrations import TABLE, Migrations, record
from paas.host.waiting import STEP_S

Value = str | int | float | bytes | None
Row = sqlite3.Row
Unique = sqlite3.IntegrityError
"""Raised by a statement that breaks a constraint."""

BUSY_SECONDS = 30.0


class DatabaseBroken(PaasError):
    """The file is not a database this version can use."""


class DatabaseUnwritable(PaasError):
    """The file is whole, but nothing can be written to it now."""


REMEDIES: dict[int, tuple[type[PaasError], str, str]] = {
    sqlite3.SQLITE_FULL: (
        DatabaseUnwritable,
        "the disk is full",
        "Free some space, then try again; `paas doctor` says where it went.",
    ),
    sqlite3.SQLITE_BUSY: (
        DatabaseUnwritable,
        f"another process keeps it locked for more than {BUSY_SECONDS:g} seconds",
        "Try again; `fuser -v FILE` on the server says who has it open.",
    ),
    sqlite3.SQLITE_READONLY: (
        DatabaseUnwritable,
        "it is read-only",
        "See on the server how it is mounted, and that root owns it: `findmnt -T FILE`.",
    ),
    sqlite3.SQLITE_IOERR: (
        DatabaseUnwritable,
        "the disk reports an error",
        "See on the server what `dmesg` says of the disk.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        DatabaseUnwritable,
        "it cannot be opened",
        "See on the server that its directory is there and belongs to root.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        DatabaseBroken,
        "its content is damaged",
        "Restore it from a backup, or move it away to start empty.",
    ),
    sqlite3.SQLITE_NOTADB: (
        DatabaseBroken,
        "it is not a database",
        "Restore it from a backup, or move it away to start empty.",
    ),
}
"""By primary result code (https://sqlite.org/rescode.html); any other one is a bug of ours."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Word what the operator can mend; the rest is a bug and passes as it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in REMEDIES:
            raise
        kind, why, remedy = REMEDIES[code]
        raise kind(
            f"The database {path} cannot be used: {why}",
            [str(error)],
            remedy.replace("FILE", str(path)),
        ) from error


class _Held:
    """An open connection, which no child of the process that opened it may ever meet.

    SQLite remembers per process which locks it has on a file: a child that opens the file of
    a connection it inherited believes to hold locks that are its parent's alone.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection: sqlite3.Connection | None = connection
        self.number = next(_NUMBERS)
        self.owner = (os.getpid(), threading.get_ident())
        _OPEN.held.add(self)

    @property
    def is_ours(self) -> bool:
        """Whether this thread of this process opened it."""
        return self.owner == (os.getpid(), threading.get_ident())

    def close(self) -> None:
        """Only in the thread that opened it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        # A child drops the values of all threads but its own. Closed there, it would end
        # what the parent still uses.
        if self.connection is not None and self.owner[0] != os.getpid():
            _INHERITED.append(self.connection)


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Of several that open a new database at once SQLite refuses some without any waiting."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(STEP_S)
        else:
            return


_NUMBERS = itertools.count()


class _Opened(threading.local):
    """What one thread has opened: another's opening and ending changes nothing of it."""

    def __init__(self) -> None:
        self.held: weakref.WeakSet[_Held] = weakref.WeakSet()


_OPEN = _Opened()

_INHERITED: list[sqlite3.Connection] = []
"""Connections of parents, kept for ever and never used."""


def _close_before_fork() -> None:
    """Close what the forking thread has open; the next statement opens it again."""
    for held in list(_OPEN.held):
        if held.is_ours and held.connection is not None and not held.connection.in_transaction:
            held.close()


os.register_at_fork(before=_close_before_fork)


class _Own(threading.local):
    """The connection of one thread: SQLite's transactions belong to connections."""

    held: _Held | None = None
    depth = 0


class Database:
    """One SQLite file in WAL mode, private to root, migrated when first used."""

    def __init__(
        self,
        path: Path,
        migrations: Traversable,
        functions: Mapping[str, Callable[..., Value]] | None = None,
    ) -> None:
        """`migrations` is a folder of `NNNN_name.sql`, applied in order, each once.

        `functions` are what they may call besides SQLite's own.
        """
        self.path = path
        self._migrations = migrations
        self._functions = functions or {}
        self._own = _Own()

    def execute(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> list[Row]:
        """Run one statement and return its rows.

        Raises `Unique` when it breaks a constraint, `DatabaseUnwritable`, `DatabaseBroken`.
        """
        connection = self._open()
        with self._told():
            return connection.execute(sql, values).fetchall()

    def insert(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> int:
        """Run one INSERT and return the id of its row."""
        connection = self._open()
        with self._told():
            return int(connection.execute(sql, values).lastrowid or 0)

    @property
    def state(self) -> tuple[int, int, int] | None:
        """The same for as long as nobody has changed anything; None inside a transaction.

        Others' changes are told by SQLite's data_version, our own by its count of them.
        """
        connection = self._open()
        if connection.in_transaction or self._own.held is None:
            return None
        [version] = self.execute("PRAGMA data_version")
        return self._own.held.number, version[0], connection.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; one inside another is part of the outer one."""
        connection = self._open()
        if self._own.depth == 0:
            with self._told():
                connection.execute("BEGIN IMMEDIATE")
        self._own.depth += 1
        try:
            yield
            if self._own.depth == 1:
                with self._told():
                    connection.execute("COMMIT")
        except BaseException:
            # SQLite has done it itself after some errors, such as a full disk.
            if self._own.depth == 1 and connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            self._own.depth -= 1

    def _told(self) -> AbstractContextManager[None]:
        return told(self.path)

    def close(self) -> None:
        if self._own.held is not None and self._own.held.is_ours:
            self._own.held.close()
        self._own.held = None

    def _open(self) -> sqlite3.Connection:
        held = self._own.held
        if held is not None and held.is_ours and held.connection is not None:
            return held.connection
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Created before SQLite does, so that it is never readable by others.
        self._touch()
        with self._told():
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._set_up(connection)
            except BaseException:
                connection.close()
                raise
        self._own.held, self._own.depth = _Held(connection), 0
        return connection

    def _touch(self) -> None:
        # Never opened when it is there: closing any descriptor of a file drops every lock that
        # this process has on it, those of other threads' transactions too (howtocorrupt, 2.2).
        if self.path.exists():
            return
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise DatabaseUnwritable(
                f"The database {self.path} cannot be opened: {error.strerror}",
                resolution=f"See on the server how it is mounted: findmnt -T {self.path}",
            ) from error

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        _log_ahead(connection)
        # FULL: a commit point that the user was told of survives a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # What is deleted may have been a secret.
        connection.execute("PRAGMA secure_delete=ON")
        for name, function in self._functions.items():
            connection.create_function(name, -1, function)
        if self._migrate(connection):
            # Nor may a migration leave what it sealed in free pages or in the log.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _migrate(self, connection: sqlite3.Connection) -> bool:
        """Bring the schema up to date; says whether rows were there that may have changed."""
        migrations = Migrations(self._migrations)
        if self._version(connection) == migrations.digest:
            return False
        connection.execute("BEGIN IMMEDIATE")
        version = 0
        try:
            # Looked at again under the lock: another process may have been first.
            version = self._version(connection)
            applied = migrations.applied(connection.execute, version)
            self._refuse_newer(newer=migrations.unknown(applied, version))
            for name, script in migrations.missing(applied):
                for statement in split_statements(script):
                    connection.execute(statement)
                applied.add(name)
            record(connection.execute, sorted(applied))
            connection.execute(f"PRAGMA user_version={migrations.digest:d}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return version > 0

    def _refuse_newer(self, *, newer: bool) -> None:
        if newer:
            raise DatabaseBroken(
                f"The database {self.path} was written by a newer version of paas",
                resolution="Install that version again, or a newer one.",
            )

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def copy_database(source: Path, target: Path) -> None:
    """Make `target` what `source` is, in one transaction of `target`'s; both may be open.

    A new one is root's alone, as what it is copied from. Source:
    https://sqlite.org/backup.html. Raises `DatabaseUnwritable`, `DatabaseBroken`.
    """
    if not target.exists():
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        told(target),
        closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as origin,
        closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as copy,
    ):
        origin.backup(copy)


def put_schema_back(kept: Path, path: Path) -> None:
    """Give `path` the schema of `kept`, an older copy of it; its rows stay those it has now.

    What the older schema has no place for is lost. In one transaction of `path`'s. Raises
    `DatabaseUnwritable`, `DatabaseBroken`.
    """
    beside = kept.with_suffix(".rows")
    copy_database(kept, beside)
    with told(beside), closing(sqlite3.connect(beside, isolation_level=None)) as merged:
        merged.execute("ATTACH ? AS now", (str(path),))
        merged.execute("BEGIN IMMEDIATE")
        for table in _tables(merged, "main") & _tables(merged, "now") - {TABLE}:
            both = _columns(merged, "main", table) & _columns(merged, "now", table)
            names = ", ".join(sorted(both))
            merged.execute(f"DELETE FROM main.{table}")  # noqa: S608
            merged.execute(
                f"INSERT OR IGNORE INTO main.{table} ({names}) SELECT {names} FROM now.{table}"  # noqa: S608
            )
        merged.execute("COMMIT")
    copy_database(beside, path)


def _tables(connection: sqlite3.Connection, schema: str) -> set[str]:
    rows = connection.execute(
        f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"  # noqa: S608
    )
    return {row[0] for row in rows}


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> set[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?, ?)", (table, schema))
    return {row[0] for row in rows}


def schema_of(path: Path) -> int:
    """What a database says of its schema; 0 for one that has none."""
    with told(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def split_statements(script: str) -> Iterator[str]:
    """The statements of an SQL script.

    `executescript` would commit the transaction that makes a migration atomic.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
