"""The config and formation tables: what the next release will be made with.

Values are sealed with the PaaS's key, each for its own place, and are plain only as a
`Secret` in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from paas.host.database import Database
from paas.host.secrets import Vault
from paas.model.env import Secret

Scope = int | None
"""The id of an app, or None for what every app has."""


@dataclass(frozen=True)
class Change:
    """One variable was `set`, `changed` or `unset`. `at` is in seconds since the epoch."""

    at: float
    actor: str
    what: str
    key: str


class Config:
    """Environment and scale of apps."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def get(self, scope: Scope) -> dict[str, Secret]:
        """The variables of an app alone, or those of every app; by key.

        Raises `KeyLost`, `Tampered`.
        """
        return {
            key: Secret(self._vault.open(sealed, place(scope, key)))
            for key, sealed in self._sealed(scope).items()
        }

    def effective(self, app_id: int) -> dict[str, Secret]:
        """What the app's processes get: its own variables over those of every app."""
        merged = self.get(None) | self.get(app_id)
        return dict(sorted(merged.items()))

    def inherited(self, app_id: int) -> frozenset[str]:
        """The keys of `effective` that are not the app's own."""
        return frozenset(self._sealed(None).keys() - self._sealed(app_id).keys())

    def keys(self, scope: Scope) -> list[str]:
        """The names of the variables, which are no secrets."""
        return list(self._sealed(scope))

    def set(self, scope: Scope, values: Mapping[str, str | Secret], actor: str = "paas") -> None:
        """Add or replace variables, all or none. Keys and values are parsed ones."""
        with self._db.transaction():
            before = self.get(scope)
            for key, value in values.items():
                secret = value if isinstance(value, Secret) else Secret(value)
                if before.get(key) != secret:
                    self._write(scope, key, secret)
                    self._record(scope, actor, "changed" if key in before else "set", key)

    def unset(self, scope: Scope, keys: Iterable[str], actor: str = "paas") -> None:
        """Remove variables; one that is not set is no error."""
        with self._db.transaction():
            before = self._sealed(scope)
            for key in sorted(before.keys() & set(keys)):
                self._remove(scope, key)
                self._record(scope, actor, "unset", key)

    def replace(
        self,
        app_id: int,
        values: Mapping[str, Secret],
        actor: str = "paas",
        *,
        since: Mapping[str, Secret],
    ) -> None:
        """Make `values` the whole config of an app: what a rollback does.

        What was set, changed or unset since it was `since` stays as it is.
        """
        with self._db.transaction():
            now = self.get(app_id)
            touched = {key for key in {*now, *since} if now.get(key) != since.get(key)}
            self.unset(app_id, now.keys() - values.keys() - touched, actor)
            kept = {key: value for key, value in values.items() if key not in touched}
            self.set(app_id, kept, actor)

    def history(self, scope: Scope, count: int) -> list[Change]:
        """The last `count` changes, the newest first."""
        rows = self._db.execute(
            "SELECT * FROM config_history WHERE app_id IS ? ORDER BY id DESC LIMIT ?",
            (scope, count),
        )
        return [Change(row["at"], row["actor"], row["what"], row["key"]) for row in rows]

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

    # -- rows ----------------------------------------------------------------------------------

    def _sealed(self, scope: Scope) -> dict[str, str]:
        if scope is None:
            rows = self._db.execute("SELECT key, value FROM global_config ORDER BY key")
        else:
            rows = self._db.execute(
                "SELECT key, value FROM config WHERE app_id = ? ORDER BY key", (scope,)
            )
        return {row["key"]: row["value"] for row in rows}

    def _write(self, scope: Scope, key: str, value: Secret) -> None:
        sealed = self._vault.seal(value.reveal(), place(scope, key))
        if scope is None:
            self._db.execute("INSERT OR REPLACE INTO global_config VALUES (?, ?)", (key, sealed))
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO config (app_id, key, value) VALUES (?, ?, ?)",
                (scope, key, sealed),
            )

    def _remove(self, scope: Scope, key: str) -> None:
        if scope is None:
            self._db.execute("DELETE FROM global_config WHERE key = ?", (key,))
        else:
            self._db.execute("DELETE FROM config WHERE app_id = ? AND key = ?", (scope, key))

    def _record(self, scope: Scope, actor: str, what: str, key: str) -> None:
        self._db.execute(
            "INSERT INTO config_history (app_id, at, actor, what, key) VALUES (?, ?, ?, ?, ?)",
            (scope, self._now(), actor, what, key),
        )


def place(scope: Scope, key: str) -> str:
    """What a value is sealed for; ids of apps begin at 1."""
    return f"config/{scope or 0}/{key}"
