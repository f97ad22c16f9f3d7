"""The events table: what was done, when and by whom. It outlives the app it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paas.host.database import Database, Row


@dataclass(frozen=True)
class Event:
    """One thing that was done. `at` is in seconds since the epoch; `app` may be empty."""

    at: float
    actor: str
    app: str
    what: str
    detail: str
    id: int = field(default=0, compare=False)


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

    def tail(self, count: int, apps: str | Sequence[str] | None = None) -> list[Event]:
        """The last `count` events, of some apps or of all, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM events"
            " WHERE (:apps IS NULL OR app IN (SELECT value FROM json_each(:apps)))"
            " ORDER BY id DESC LIMIT :count",
            {"apps": _names(apps), "count": count},
        )
        return [event_of(row) for row in reversed(rows)]

    def after(self, event_id: int, apps: str | Sequence[str] | None = None) -> list[Event]:
        """What came behind an event, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM events WHERE id > :id"
            " AND (:apps IS NULL OR app IN (SELECT value FROM json_each(:apps)))"
            " ORDER BY id",
            {"apps": _names(apps), "id": event_id},
        )
        return [event_of(row) for row in rows]

    def keep(self, *, count: int, oldest: float) -> None:
        """Drop what is older than `oldest` (epoch seconds), and all but the newest `count` of
        each app and of the server. Ids go on behind those that were dropped.
        """
        # By app: one that crashes all the time pushes nobody else's out.
        self._db.execute(
            "DELETE FROM events WHERE at < :oldest OR id IN (SELECT id FROM"
            " (SELECT id, row_number() OVER (PARTITION BY app ORDER BY id DESC) AS place"
            "  FROM events) WHERE place > :count)",
            {"oldest": oldest, "count": count},
        )

    def newest(self) -> int:
        """The id of the last event there is; 0 when there is none."""
        [row] = self._db.execute("SELECT ifnull(max(id), 0) AS newest FROM events")
        return int(row["newest"])

    def last(self, app: str, what: str) -> Event | None:
        """The newest event of a kind for an app."""
        rows = self._db.execute(
            "SELECT * FROM events WHERE app = ? AND what = ? ORDER BY id DESC LIMIT 1", (app, what)
        )
        for row in rows:
            return event_of(row)
        return None


def _names(apps: str | Sequence[str] | None) -> str | None:
    """Names of apps as one parameter (json_each); None for all."""
    if apps is None:
        return None
    return json.dumps([apps] if isinstance(apps, str) else list(apps))


def event_of(row: Row) -> Event:
    """A row of the table."""
    return Event(row["at"], row["actor"], row["app"], row["what"], row["detail"], row["id"])
