"""The domains table: each name leads to one app."""

from __future__ import annotations

from collections.abc import Callable

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Unique


class DomainTaken(PaasError):
    """The domain leads to another app already."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f"Domain {name} belongs to app {owner}",
            resolution=f"Remove it there first: domains:remove {owner} {name}",
        )


class DomainNotFound(NotFound):
    """The app has no such domain."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Domain {name} does not belong to this app")


class Domains:
    """Adds, removes and lists domains."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, app_id: int, name: str) -> None:
        """Lead a domain to an app; again is no error. Raises `DomainTaken`."""
        with self._db.transaction():
            owner = self._owner(name)
            if owner is not None and owner[0] == app_id:
                return
            try:
                self._db.execute(
                    "INSERT INTO domains (name, app_id, created_at) VALUES (?, ?, ?)",
                    (name, app_id, self._now()),
                )
            except Unique:
                if owner is None:
                    raise
                raise DomainTaken(name, owner[1]) from None

    def remove(self, app_id: int, name: str) -> None:
        """Take a domain from an app. Raises `DomainNotFound`."""
        removed = self._db.execute(
            "DELETE FROM domains WHERE app_id = ? AND name = ? RETURNING name", (app_id, name)
        )
        if not removed:
            raise DomainNotFound(name)

    def list(self, app_id: int) -> list[str]:
        """The domains of an app in the order they were added."""
        rows = self._db.execute(
            "SELECT name FROM domains WHERE app_id = ? ORDER BY created_at, rowid", (app_id,)
        )
        return [row["name"] for row in rows]

    def all(self) -> dict[str, int]:
        """Every domain and the id of its app, by name."""
        rows = self._db.execute("SELECT name, app_id FROM domains ORDER BY name")
        return {row["name"]: row["app_id"] for row in rows}

    def _owner(self, name: str) -> tuple[int, str] | None:
        rows = self._db.execute(
            "SELECT apps.id, apps.name FROM domains JOIN apps ON apps.id = app_id"
            " WHERE domains.name = ?",
            (name,),
        )
        return (rows[0]["id"], rows[0]["name"]) if rows else None
