"""Which of the numbered migrations a database has, and which it lacks.

It keeps their names, not the newest number: two branches land in either order, and what
landed last may have the lower number. So that opening costs one PRAGMA, `user_version`
is a digest of the names; the table behind it is read only when that differs.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from importlib.resources.abc import Traversable
from typing import Any

Query = Callable[..., Iterable[Sequence[Any]]]
"""Runs one statement, with its values."""

DIGEST = 1 << 30
"""This bit of `user_version` says that it is a digest. Without it, it is the newest number,
which is all that databases had up to then."""

TABLE = "schema_migrations"
MADE = re.compile(
    r"^\s*(?:CREATE TABLE (?P<table>\w+)|ALTER TABLE (?P<altered>\w+) ADD COLUMN (?P<column>\w+))",
    re.MULTILINE,
)


class Migrations:
    """The files `NNNN_name.sql` of a folder, in order."""

    def __init__(self, folder: Traversable) -> None:
        self._files = {
            item.name.removesuffix(".sql"): item
            for item in sorted(folder.iterdir(), key=lambda item: item.name)
            if item.name.endswith(".sql")
        }

    @property
    def digest(self) -> int:
        """What `user_version` is in a database that has all of these and no other."""
        return zlib.crc32("\n".join(self._files).encode()) & (DIGEST - 1) | DIGEST

    def missing(self, applied: set[str]) -> list[tuple[str, str]]:
        """Name and script of those that are not `applied`, in order."""
        lacking = self._files.keys() - applied
        return [(name, self._files[name].read_text("utf-8")) for name in sorted(lacking)]

    def unknown(self, applied: set[str], version: int) -> bool:
        """Whether the database has more than these: a newer program wrote it."""
        newest = max(map(_number, self._files), default=0)
        return bool(applied - self._files.keys()) or newest < version < DIGEST

    def applied(self, query: Query, version: int) -> set[str]:
        """The names of those that the database has; one that only counted is looked through."""
        if version & DIGEST:
            return {str(row[0]) for row in query(f"SELECT name FROM {TABLE}")}  # noqa: S608
        return {
            name
            for name, item in self._files.items()
            if _number(name) <= version and _is_there(query, item.read_text("utf-8"))
        }


def record(query: Query, names: Iterable[str]) -> None:
    """Keep the names of migrations as applied."""
    query(f"CREATE TABLE IF NOT EXISTS {TABLE} (name TEXT PRIMARY KEY NOT NULL) STRICT")
    for name in names:
        query(f"INSERT OR IGNORE INTO {TABLE} VALUES (?)", (name,))  # noqa: S608


def _is_there(query: Query, script: str) -> bool:
    """Whether the first thing that a migration makes exists; one that makes none counts as
    done, as it did.
    """
    made = MADE.search(script)
    if made is None:
        return True
    if made["table"]:
        return bool([*query("SELECT 1 FROM pragma_table_info(?)", (made["table"],))])
    columns = query("SELECT name FROM pragma_table_info(?)", (made["altered"],))
    return made["column"] in {row[0] for row in columns}


def _number(name: str) -> int:
    return int(name.split("_", 1)[0])
