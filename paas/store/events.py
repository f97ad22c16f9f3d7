"""The events table: what was done, when and by whom. It outlives the app it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.host.database import Database


@dataclass(frozen=True)
class Event:
    """One thing that was done. `at` is in seconds since the epoch; `app` may be empty."""

    at: float
    actor: str
    app: str
    what: str
    detail: str


class Events:
    """Adds and shows events."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, actor: str, app: str, what: str, detail: str = "") -> None:
        """Record something that was done; `detail` holds no secret."""
        self._db.execute(
            "INSERT INTO events (at, actor, app, what, detail) VALUES (?, ?, ?, ?, ?)",
            (self._now(), actor, app, what, detail),
        )

    def tail(self, count: int, app: str | None = None) -> list[Event]:
        """The last `count` events, of one app or of all, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM events WHERE :app IS NULL OR app = :app ORDER BY id DESC LIMIT :count",
            {"app": app, "count": count},
        )
        return [
            Event(row["at"], row["actor"], row["app"], row["what"], row["detail"])
            for row in reversed(rows)
        ]

    def last(self, app: str, what: str) -> Event | None:
        """The newest event of a kind for an app."""
        rows = self._db.execute(
            "SELECT * FROM events WHERE app = ? AND what = ? ORDER BY id DESC LIMIT 1", (app, what)
        )
        for row in rows:
            return Event(row["at"], row["actor"], row["app"], row["what"], row["detail"])
        return None
