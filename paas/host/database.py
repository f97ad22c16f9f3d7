"""The door to SQLite: opening, numbered migrations, transactions.

A database is opened lazily, never across a fork: paasd's master opens none, each
command opens its own (https://sqlite.org/howtocorrupt.html, section 2.6).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path

from paas.errors import PaasError

Value = str | int | float | bytes | None
Row = sqlite3.Row
Unique = sqlite3.IntegrityError
"""Raised by a statement that breaks a constraint."""

BUSY_SECONDS = 30.0


class DatabaseBroken(PaasError):
    """The file is not a database this version can use."""


class _Own(threading.local):
    """The connection of one thread: SQLite's transactions belong to connections."""

    connection: sqlite3.Connection | None = None
    owner = 0
    depth = 0

    def __init__(self) -> None:
        self.inherited: list[sqlite3.Connection] = []


class Database:
    """One SQLite file in WAL mode, private to root, migrated when first used."""

    def __init__(self, path: Path, migrations: Traversable) -> None:
        """`migrations` is a folder of `NNNN_name.sql`, applied in order, each once."""
        self.path = path
        self._migrations = migrations
        self._own = _Own()

    def execute(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> list[Row]:
        """Run one statement and return its rows.

        Raises `Unique` when it breaks a constraint.
        """
        return self._open().execute(sql, values).fetchall()

    def insert(self, sql: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> int:
        """Run one INSERT and return the id of its row."""
        cursor = self._open().execute(sql, values)
        return int(cursor.lastrowid or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; one inside another is part of the outer one."""
        connection = self._open()
        if self._own.depth == 0:
            connection.execute("BEGIN IMMEDIATE")
        self._own.depth += 1
        try:
            yield
        except BaseException:
            self._own.depth -= 1
            if self._own.depth == 0:
                connection.execute("ROLLBACK")
            raise
        self._own.depth -= 1
        if self._own.depth == 0:
            connection.execute("COMMIT")

    def close(self) -> None:
        if self._own.connection is not None and self._own.owner == os.getpid():
            self._own.connection.close()
        self._own.connection = None

    def _open(self) -> sqlite3.Connection:
        if self._own.connection is not None and self._own.owner == os.getpid():
            return self._own.connection
        if self._own.connection is not None:
            # A parent's. Kept unused: even closing it would touch the parent's files.
            self._own.inherited.append(self._own.connection)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Created before SQLite does, so that it is never readable by others.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            # FULL: a commit point that the user was told of survives a power cut.
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            self._migrate(connection)
        except sqlite3.DatabaseError as error:
            raise DatabaseBroken(
                f"The database {self.path} cannot be used: {error}",
                resolution="Restore it from a backup, or move it away to start empty.",
            ) from error
        self._own.connection, self._own.owner, self._own.depth = connection, os.getpid(), 0
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        steps = sorted(
            (int(item.name.split("_", 1)[0]), item)
            for item in self._migrations.iterdir()
            if item.name.endswith(".sql")
        )
        newest = steps[-1][0] if steps else 0
        if self._version(connection) == newest:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Looked at again under the lock: another process may have been first.
            version = self._version(connection)
            self._refuse_newer(version, newest)
            for number, item in steps:
                if number > version:
                    for statement in split_statements(item.read_text("utf-8")):
                        connection.execute(statement)
            connection.execute(f"PRAGMA user_version={newest:d}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _refuse_newer(self, version: int, newest: int) -> None:
        if version > newest:
            raise DatabaseBroken(
                f"The database {self.path} was written by a newer version of paas",
                resolution="Install that version again, or a newer one.",
            )

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
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
