"""The service_links table: which config variables hold the URL of which service."""

from __future__ import annotations

from collections.abc import Sequence

from paas.host.database import Database, Row
from paas.model.service import Link


class Links:
    """Adds, finds and removes links."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, link: Link) -> None:
        """Record a link; one of the same variable is replaced."""
        self._db.execute(
            "INSERT OR REPLACE INTO service_links"
            " (app_id, variable, service_id, scheme, query, database) VALUES (?, ?, ?, ?, ?, ?)",
            (link.app_id, link.variable, link.service_id, link.scheme, link.query, link.database),
        )

    def of_service(self, service_id: int) -> Sequence[Link]:
        """The links of one service, by app and variable."""
        return self._where("service_id = ?", service_id)

    def of_app(self, app_id: int) -> Sequence[Link]:
        """The links of one app, by variable."""
        return self._where("app_id = ?", app_id)

    def list(self) -> Sequence[Link]:
        """Every link."""
        return self._where("1")

    def remove(self, link: Link) -> None:
        """Forget a link; one that is gone is no error."""
        self._db.execute(
            "DELETE FROM service_links WHERE app_id = ? AND variable = ? AND service_id = ?",
            (link.app_id, link.variable, link.service_id),
        )

    def _where(self, condition: str, *values: int) -> Sequence[Link]:
        # `condition` is one of the literals above.
        rows = self._db.execute(
            f"SELECT * FROM service_links WHERE {condition}"  # noqa: S608
            " ORDER BY app_id, variable",
            values,
        )
        return [_link(row) for row in rows]


def _link(row: Row) -> Link:
    return Link(
        row["app_id"],
        row["variable"],
        row["service_id"],
        row["scheme"],
        row["query"],
        row["database"],
    )
