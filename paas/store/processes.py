"""The process_settings table: what is set for process types, of apps and of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from paas.host.database import Database
from paas.model.limits import Limits
from paas.model.processes import (
    CPU_LIMIT,
    CPU_RESERVE,
    DISK_LIMIT,
    MEMORY_LIMIT,
    MEMORY_RESERVE,
    PIDS_LIMIT,
    ProcessSetting,
)

T = TypeVar("T")

EVERY_TYPE = ""
Place = tuple[int | None, str, str]
"""Scope, process type and name."""


class Lookup(Protocol):
    """Finds the value in effect."""

    def __call__(self, setting: ProcessSetting[T], app_id: int, process_type: str) -> T: ...


class ProcessSettings:
    """Reads and writes what is set. A scope is an app's id, or None for the server."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def value(self, setting: ProcessSetting[T], app_id: int, process_type: str) -> T:
        """The value in effect, parsed."""
        return self._lookup({})(setting, app_id, process_type)

    def _lookup(self, tried: Mapping[Place, str | None]) -> Lookup:
        """`value`, as if what is `tried` had been set."""

        def value(setting: ProcessSetting[T], app_id: int, process_type: str) -> T:
            for scope in (app_id, None):
                for kind in (process_type, EVERY_TYPE):
                    place = (scope, kind, setting.name)
                    text = tried[place] if place in tried else self.get(*place)
                    if text is not None:
                        return setting.parse(text)
            return setting.default

        return value

    def get(self, scope: int | None, process_type: str, name: str) -> str | None:
        """The text that was set in exactly this place."""
        rows = self._db.execute(
            "SELECT value FROM process_settings"
            " WHERE app_id IS ? AND process_type = ? AND name = ?",
            (scope, process_type, name),
        )
        return str(rows[0]["value"]) if rows else None

    def set(self, scope: int | None, process_type: str, name: str, value: str | None) -> None:
        """Set the text, which is a parsed one; None removes it."""
        with self._db.transaction():
            self._db.execute(
                "DELETE FROM process_settings WHERE app_id IS ? AND process_type = ? AND name = ?",
                (scope, process_type, name),
            )
            if value is not None:
                self._db.execute(
                    "INSERT INTO process_settings VALUES (?, ?, ?, ?)",
                    (scope, process_type, name, value),
                )

    def list(self, scope: int | None) -> dict[tuple[str, str], str]:
        """Everything that was set in a scope, by process type and name."""
        rows = self._db.execute(
            "SELECT * FROM process_settings WHERE app_id IS ? ORDER BY process_type, name",
            (scope,),
        )
        return {(row["process_type"], row["name"]): row["value"] for row in rows}

    def copy(self, app_id: int, to: int) -> None:
        """Give what was set for an app to another one."""
        for (process_type, name), value in self.list(app_id).items():
            self.set(to, process_type, name, value)

    def limits(self, app_id: int, process_type: str) -> Limits:
        """What one instance of a process type may use."""
        return _limits(self._lookup({}), app_id, process_type)

    def limits_with(
        self, app_id: int, values: Mapping[tuple[str, str], str | None]
    ) -> Callable[[str], Limits]:
        """`limits` by type, as they are once `values` (by type and name) are set."""
        tried: dict[Place, str | None] = {(app_id, *key): text for key, text in values.items()}
        return lambda kind: _limits(self._lookup(tried), app_id, kind)


def _limits(value: Lookup, app_id: int, process_type: str) -> Limits:
    reserved = value(CPU_RESERVE, app_id, process_type)
    return Limits(
        memory_bytes=value(MEMORY_LIMIT, app_id, process_type),
        cpus=value(CPU_LIMIT, app_id, process_type),
        pids=value(PIDS_LIMIT, app_id, process_type),
        # cgroup v2's default of 100 stands for one processor.
        cpu_weight=None if reserved is None else min(max(round(100 * reserved), 1), 10_000),
        memory_reserved_bytes=value(MEMORY_RESERVE, app_id, process_type),
        disk_bytes=value(DISK_LIMIT, app_id, process_type),
    )
