"""The renewals table: whose certificates come from an authority, and how that goes."""

from __future__ import annotations

from dataclasses import dataclass

from paas.host.database import Database


@dataclass(frozen=True)
class Renewal:
    """One app's. Times are in seconds since the epoch; `error` is the last failure's."""

    app_id: int
    failures: int
    not_before: float
    """No attempt earlier."""
    error: str
    suggested_at: float | None
    """When the authority wants the certificate renewed, if it said so."""
    ask_at: float
    """When it is to be asked that again."""


class Renewals:
    """Enables, disables, and remembers failures."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def enable(self, app_id: int) -> bool:
        """Have an app's certificates renewed from now on; what was before is forgotten.

        Says whether there is such an app.
        """
        return bool(
            self._db.execute(
                "INSERT INTO renewals (app_id) SELECT id FROM apps WHERE id = ?"
                " ON CONFLICT (app_id) DO UPDATE SET failures = 0, not_before = 0, error = '',"
                " suggested_at = NULL, ask_at = 0 RETURNING app_id",
                (app_id,),
            )
        )

    def disable(self, app_id: int) -> None:
        """Leave an app's certificates alone."""
        self._db.execute("DELETE FROM renewals WHERE app_id = ?", (app_id,))

    def failed(self, app_id: int, *, not_before: float, error: str) -> None:
        """Count a failure; the next attempt is not before `not_before`."""
        self._db.execute(
            "UPDATE renewals SET failures = failures + 1, not_before = ?, error = ?"
            " WHERE app_id = ?",
            (not_before, error, app_id),
        )

    def suggested(self, app_id: int, at: float | None, *, ask_at: float) -> None:
        """Remember what the authority wants."""
        self._db.execute(
            "UPDATE renewals SET suggested_at = ?, ask_at = ? WHERE app_id = ?",
            (at, ask_at, app_id),
        )

    def find(self, app_id: int) -> Renewal | None:
        """An app's, if it is enabled."""
        return next((each for each in self.list() if each.app_id == app_id), None)

    def list(self) -> list[Renewal]:
        """Those of all apps that are enabled."""
        rows = self._db.execute(
            "SELECT app_id, failures, not_before, error, suggested_at, ask_at"
            " FROM renewals ORDER BY app_id"
        )
        return [
            Renewal(
                row["app_id"],
                row["failures"],
                row["not_before"],
                row["error"],
                row["suggested_at"],
                row["ask_at"],
            )
            for row in rows
        ]
