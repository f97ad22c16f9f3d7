"""The drains table: where the output of apps is sent on to."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row
from paas.host.secrets import Vault
from paas.model.app import App
from paas.model.drain import DrainUrl, parse_drain


class DrainUnknown(NotFound):
    """The app has no such drain."""

    def __init__(self, app: App, drain: str) -> None:
        super().__init__(
            f"App {app.name} has no drain {drain}",
            resolution=f"See what there is: paas drains {app.name}",
        )


class DrainTaken(PaasError):
    """The app's output goes there already."""

    def __init__(self, app: App, drain: Drain) -> None:
        super().__init__(f"The output of {app.name} goes there already: {drain.id}")


@dataclass(frozen=True)
class Drain:
    """A row of it. Output since `created_at` (epoch seconds) is sent."""

    id: str
    app_id: int
    url: DrainUrl
    actor: str
    created_at: float


class Drains:
    """Adds, finds and removes drains."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def add(self, app: App, url: DrainUrl, actor: str) -> Drain:
        """Raises `DrainTaken`."""
        with self._db.transaction():
            for drain in self.of(app.id):
                if drain.url.text == url.text:
                    raise DrainTaken(app, drain)
            drain_id = f"d.{secrets.token_hex(4)}"
            self._db.execute(
                "INSERT INTO drains VALUES (?, ?, ?, ?, ?)",
                (drain_id, app.id, self._vault.seal(url.text, drain_id), actor, self._now()),
            )
        return self.get(app, drain_id)

    def get(self, app: App, word: str) -> Drain:
        """By its id, its URL, or what is shown of that. Raises `DrainUnknown`."""
        for drain in self.of(app.id):
            if word in (drain.id, drain.url.text, str(drain.url)):
                return drain
        raise DrainUnknown(app, word[:80])

    def by_id(self, drain_id: str) -> Drain | None:
        """Whosever it is; None when it was removed."""
        rows = self._db.execute("SELECT * FROM drains WHERE id = ?", (drain_id,))
        return self._drain(rows[0]) if rows else None

    def of(self, app_id: int) -> list[Drain]:
        """Those of an app, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM drains WHERE app_id = ? ORDER BY created_at, id", (app_id,)
        )
        return [self._drain(row) for row in rows]

    def ids(self) -> list[str]:
        """Of all apps."""
        return [row["id"] for row in self._db.execute("SELECT id FROM drains ORDER BY id")]

    def remove(self, drain: Drain) -> None:
        """Send nothing there any more."""
        self._db.execute("DELETE FROM drains WHERE id = ?", (drain.id,))

    def _drain(self, row: Row) -> Drain:
        url = parse_drain(self._vault.open(row["url"], row["id"]))
        return Drain(row["id"], row["app_id"], url, row["actor"], row["created_at"])
