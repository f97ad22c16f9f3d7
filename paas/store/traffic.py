"""The traffic tables: requests by the minute for a day, by the hour for a month."""

from __future__ import annotations

import json

from paas.host.database import Database, Row
from paas.model.traffic import Traffic

MINUTE, HOUR = 60, 3600
KEPT_S = {MINUTE: 86400, HOUR: 31 * 86400}
"""How long counts stay, by their span."""


class TrafficCounts:
    """Counts and how far the logs that they come from were read: one transaction writes both."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def position(self, app_id: int) -> tuple[int, int]:
        """The inode of the log that was read and how far, in bytes; zeros before the first time."""
        rows = self._db.execute("SELECT * FROM traffic_read WHERE app_id = ?", (app_id,))
        return (rows[0]["file"], rows[0]["position"]) if rows else (0, 0)

    def add(self, app_id: int, counted: dict[int, Traffic], file: int, position: int) -> None:
        """Add what was counted, by the minute's start; the log is read up to `position`."""
        with self._db.transaction():
            for minute, traffic in counted.items():
                self._add(app_id, minute, MINUTE, traffic)
                self._add(app_id, minute - minute % HOUR, HOUR, traffic)
            self._db.execute(
                "INSERT INTO traffic_read (app_id, file, position) VALUES (?, ?, ?)"
                " ON CONFLICT (app_id) DO UPDATE SET file = excluded.file,"
                " position = excluded.position",
                (app_id, file, position),
            )

    def _add(self, app_id: int, start: int, span: int, traffic: Traffic) -> None:
        rows = self._db.execute(
            "SELECT * FROM traffic WHERE app_id = ? AND span = ? AND start = ?",
            (app_id, span, start),
        )
        whole = _traffic(rows[0]) if rows else Traffic()
        whole.add(traffic)
        self._db.execute(
            "INSERT OR REPLACE INTO traffic (app_id, start, span, classes, bytes, latencies)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                app_id,
                start,
                span,
                json.dumps(whole.classes),
                whole.bytes,
                json.dumps(whole.latencies),
            ),
        )

    def list(self, app_id: int, since: float, span: int = MINUTE) -> list[tuple[int, Traffic]]:
        """The counts of an app, each with the second it begins at, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM traffic WHERE app_id = ? AND span = ? AND start >= ? ORDER BY start",
            (app_id, span, since),
        )
        return [(row["start"], _traffic(row)) for row in rows]

    def prune(self, now: float) -> None:
        """Forget what is older than it is kept."""
        for span, kept in KEPT_S.items():
            self._db.execute(
                "DELETE FROM traffic WHERE span = ? AND start < ?", (span, int(now - kept))
            )


def _traffic(row: Row) -> Traffic:
    return Traffic(
        classes=json.loads(row["classes"]),
        bytes=row["bytes"],
        latencies=json.loads(row["latencies"]),
    )
