"""The app_locks table: apps that nothing is deployed to for now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.host.database import Database


@dataclass(frozen=True)
class AppLock:
    """Who locked an app, and when in seconds since the epoch; `reason` may be empty."""

    at: float
    actor: str
    reason: str


class AppLocks:
    """Sets, finds and removes the locks of apps."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def find(self, app_id: int) -> AppLock | None:
        """The lock of an app, if it is locked."""
        rows = self._db.execute("SELECT * FROM app_locks WHERE app_id = ?", (app_id,))
        return AppLock(rows[0]["at"], rows[0]["actor"], rows[0]["reason"]) if rows else None

    def add(self, app_id: int, actor: str, reason: str) -> None:
        """Lock an app. Raises `Unique` when it is locked."""
        self._db.execute(
            "INSERT INTO app_locks (app_id, at, actor, reason) VALUES (?, ?, ?, ?)",
            (app_id, self._now(), actor, reason),
        )

    def remove(self, app_id: int) -> None:
        """Unlock an app; one that is not locked is no error."""
        self._db.execute("DELETE FROM app_locks WHERE app_id = ?", (app_id,))
