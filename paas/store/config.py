"""The config and formation tables: what the next release will be made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from paas.host.database import Database
from paas.model.env import Secret


class Config:
    """Environment and scale of apps."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, app_id: int) -> dict[str, Secret]:
        """All variables of an app, by key."""
        rows = self._db.execute(
            "SELECT key, value FROM config WHERE app_id = ? ORDER BY key", (app_id,)
        )
        return {row["key"]: Secret(row["value"]) for row in rows}

    def set(self, app_id: int, values: Mapping[str, str | Secret]) -> None:
        """Add or replace variables, all or none. Keys and values are parsed ones."""
        with self._db.transaction():
            for key, value in values.items():
                plain = value.reveal() if isinstance(value, Secret) else value
                self._db.execute(
                    "INSERT INTO config (app_id, key, value) VALUES (?, ?, ?)"
                    " ON CONFLICT (app_id, key) DO UPDATE SET value = excluded.value",
                    (app_id, key, plain),
                )

    def unset(self, app_id: int, keys: Iterable[str]) -> None:
        """Remove variables; one that is not set is no error."""
        with self._db.transaction():
            for key in keys:
                self._db.execute("DELETE FROM config WHERE app_id = ? AND key = ?", (app_id, key))

    def formation(self, app_id: int) -> dict[str, int]:
        """How many instances of each process type were asked for, by type."""
        rows = self._db.execute(
            "SELECT process_type, quantity FROM formation WHERE app_id = ? ORDER BY process_type",
            (app_id,),
        )
        return {row["process_type"]: row["quantity"] for row in rows}

    def set_formation(self, app_id: int, quantities: Mapping[str, int]) -> None:
        """Set the quantity of the named process types; others keep theirs."""
        with self._db.transaction():
            for process_type, quantity in quantities.items():
                self._db.execute(
                    "INSERT INTO formation (app_id, process_type, quantity) VALUES (?, ?, ?)"
                    " ON CONFLICT (app_id, process_type)"
                    " DO UPDATE SET quantity = excluded.quantity",
                    (app_id, process_type, quantity),
                )

    def replace(self, app_id: int, values: Mapping[str, Secret]) -> None:
        """Make `values` the whole config: what a rollback does."""
        with self._db.transaction():
            self._db.execute("DELETE FROM config WHERE app_id = ?", (app_id,))
            self.set(app_id, values)
