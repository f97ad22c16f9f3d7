"""The keys table: SSH public keys that may use this PaaS."""

from __future__ import annotations

from collections.abc import Callable

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row
from paas.model.key import Key, PublicKey


class KeyTaken(PaasError):
    """The name is in use, or the key is registered under another one."""


class KeyNotFound(NotFound):
    """No key has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Key {name} does not exist")


class Keys:
    """Adds, finds and removes keys."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, name: str, public_key: PublicKey, user: str | None = None) -> Key:
        """Register a key of a user who exists; without, of the user with the key's own name.

        Raises `KeyTaken`.
        """
        with self._db.transaction():
            if self.find(name) is not None:
                raise KeyTaken(
                    f"There is a key named {name} already",
                    resolution=f"Choose another name, or remove it first: ssh-keys:remove {name}",
                )
            twin = self._by_fingerprint(public_key.fingerprint)
            if twin is not None:
                raise KeyTaken(f"This key is registered already, as {twin.name}")
            key = Key(name, user or name, public_key.line, public_key.fingerprint, self._now())
            self._db.execute(
                "INSERT INTO keys (name, user, public_key, fingerprint, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (key.name, key.user, key.public_key, key.fingerprint, key.created_at),
            )
        return key

    def remove(self, name: str) -> None:
        """Forget a key. Raises `KeyNotFound`."""
        if not self._db.execute("DELETE FROM keys WHERE name = ? RETURNING name", (name,)):
            raise KeyNotFound(name)

    def list(self) -> list[Key]:
        """All keys by name."""
        return [_key(row) for row in self._db.execute("SELECT * FROM keys ORDER BY name")]

    def find(self, name: str) -> Key | None:
        """The key called `name`, if there is one."""
        rows = self._db.execute("SELECT * FROM keys WHERE name = ?", (name,))
        return _key(rows[0]) if rows else None

    def _by_fingerprint(self, fingerprint: str) -> Key | None:
        rows = self._db.execute("SELECT * FROM keys WHERE fingerprint = ?", (fingerprint,))
        return _key(rows[0]) if rows else None


def _key(row: Row) -> Key:
    return Key(row["name"], row["user"], row["public_key"], row["fingerprint"], row["created_at"])
