"""The certificates table: which certificates an app has. Their keys are files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from paas.host.database import Database, Row
from paas.model.certificate import Certificate, Source


class Certificates:
    """Adds, removes and lists certificates."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, app_id: int, new: Certificate) -> None:
        """Give an app a certificate; one that it had already counts as new again."""
        self._db.execute(
            "INSERT OR REPLACE INTO certificates (app_id, fingerprint, source, names, issuer,"
            " serial, not_before, not_after, self_signed, stapled, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                app_id,
                new.fingerprint,
                new.source,
                json.dumps(new.names),
                new.issuer,
                new.serial,
                new.not_before,
                new.not_after,
                new.self_signed,
                new.stapled,
                self._now(),
            ),
        )

    def remove(self, app_id: int, fingerprint: str) -> None:
        """Take a certificate from an app; nothing happens when it has none such."""
        self._db.execute(
            "DELETE FROM certificates WHERE app_id = ? AND fingerprint = ?", (app_id, fingerprint)
        )

    def list(self, app_id: int) -> list[Certificate]:
        """The certificates of an app in the order they were added."""
        rows = self._db.execute(
            "SELECT * FROM certificates WHERE app_id = ? ORDER BY created_at, rowid", (app_id,)
        )
        return [_certificate(row) for row in rows]

    def by_app(self) -> Mapping[int, Sequence[Certificate]]:
        """The certificates of every app that has some, by its id."""
        found: dict[int, list[Certificate]] = {}
        for row in self._db.execute("SELECT * FROM certificates ORDER BY created_at, rowid"):
            found.setdefault(row["app_id"], []).append(_certificate(row))
        return found

    def fingerprints(self) -> set[str]:
        """Every certificate that some app has."""
        rows = self._db.execute("SELECT DISTINCT fingerprint FROM certificates")
        return {row["fingerprint"] for row in rows}


def _certificate(row: Row) -> Certificate:
    return Certificate(
        fingerprint=row["fingerprint"],
        source=Source(row["source"]),
        names=tuple(json.loads(row["names"])),
        issuer=row["issuer"],
        serial=row["serial"],
        not_before=row["not_before"],
        not_after=row["not_after"],
        self_signed=bool(row["self_signed"]),
        stapled=bool(row["stapled"]),
    )
