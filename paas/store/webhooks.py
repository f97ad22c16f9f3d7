"""The webhooks table: who is told of events, and up to which one they have been."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row
from paas.host.secrets import Vault
from paas.model.app import App
from paas.model.drain import DrainUrl, parse_drain
from paas.model.webhook import TROUBLE
from paas.store.events import Event, event_of


class WebhookUnknown(NotFound):
    """There is no such webhook."""

    def __init__(self, webhook: str) -> None:
        super().__init__(
            f"There is no webhook {webhook[:80]}", resolution="See what there is: paas notify:list"
        )


class WebhookTaken(PaasError):
    """It is told of the same already."""

    def __init__(self, webhook: Webhook) -> None:
        super().__init__(f"It is told already: {webhook.id}")


@dataclass(frozen=True)
class Webhook:
    """A row of it. `app_id` is None for the server's; `error` is what went wrong last."""

    id: str
    app_id: int | None
    url: DrainUrl
    every: bool
    seen: int
    error: str
    actor: str
    created_at: float


class Webhooks:
    """Adds, finds and removes webhooks, and what they are to be told."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def add(self, app: App | None, url: DrainUrl, actor: str, *, every: bool) -> Webhook:
        """From now on. Raises `WebhookTaken`."""
        app_id = None if app is None else app.id
        with self._db.transaction():
            for one in self.of(app):
                if one.url.text == url.text:
                    raise WebhookTaken(one)
            webhook = f"n.{secrets.token_hex(4)}"
            sealed = self._vault.seal(url.text, webhook)
            self._db.execute(
                "INSERT INTO webhooks (id, app_id, url, every, seen, actor, created_at)"
                " VALUES (?, ?, ?, ?, (SELECT ifnull(max(id), 0) FROM events), ?, ?)",
                (webhook, app_id, sealed, int(every), actor, self._now()),
            )
        return self.get(app, webhook)

    def get(self, app: App | None, word: str) -> Webhook:
        """By its id or URL, among those of an app or of the server. Raises `WebhookUnknown`."""
        for one in self.of(app):
            if word in (one.id, one.url.text, str(one.url)):
                return one
        raise WebhookUnknown(word)

    def by_id(self, webhook: str) -> Webhook | None:
        """Whosever it is; None when it was removed."""
        rows = self._db.execute("SELECT * FROM webhooks WHERE id = ?", (webhook,))
        return self._webhook(rows[0]) if rows else None

    def of(self, app: App | None) -> list[Webhook]:
        """Those of an app, or of the server, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM webhooks WHERE app_id IS ? ORDER BY created_at, id",
            (None if app is None else app.id,),
        )
        return [self._webhook(row) for row in rows]

    def remove(self, webhook: Webhook) -> None:
        """Tell it nothing any more."""
        self._db.execute("DELETE FROM webhooks WHERE id = ?", (webhook.id,))

    def waiting(self) -> list[str]:
        """The ids of those that there is something to tell; the others have seen all there is."""
        found = []
        rows = self._db.execute(
            "SELECT id, newest FROM webhooks, (SELECT ifnull(max(id), 0) AS newest FROM events)"
            " WHERE seen < newest"
        )
        for row in rows:
            if self.untold(row["id"], 1):
                found.append(row["id"])
            else:
                self.told(row["id"], row["newest"])
        return found

    def untold(self, webhook: str, most: int) -> list[Event]:
        """What it is to be told next, the oldest first."""
        rows = self._db.execute(
            "SELECT events.* FROM webhooks JOIN events ON events.id > seen"
            " LEFT JOIN apps ON apps.id = app_id"
            " WHERE webhooks.id = :webhook AND (app_id IS NULL OR events.app = apps.name)"
            " AND (every OR what IN (SELECT value FROM json_each(:trouble)))"
            " ORDER BY events.id LIMIT :most",
            {"webhook": webhook, "trouble": json.dumps(sorted(TROUBLE)), "most": most},
        )
        return [event_of(row) for row in rows]

    def told(self, webhook: str, event: int) -> None:
        """It has been told of everything up to that event."""
        self._db.execute(
            "UPDATE webhooks SET seen = max(seen, ?), error = '' WHERE id = ?", (event, webhook)
        )

    def failed(self, webhook: str, error: str) -> None:
        """It could not be told."""
        self._db.execute("UPDATE webhooks SET error = ? WHERE id = ?", (error, webhook))

    def _webhook(self, row: Row) -> Webhook:
        return Webhook(
            row["id"],
            row["app_id"],
            parse_drain(self._vault.open(row["url"], row["id"])),
            bool(row["every"]),
            row["seen"],
            row["error"],
            row["actor"],
            row["created_at"],
        )
