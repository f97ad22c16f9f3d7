"""Telling webhooks of events: each of them once it was taken, and again until it is."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from paas.deploy import outbound
from paas.errors import PaasError
from paas.model.app import App
from paas.model.drain import DRAIN_HOSTS, DrainUrl
from paas.model.version import VERSION
from paas.store.events import Event
from paas.store.store import Store
from paas.store.webhooks import Webhook

AT_ONCE = 100
"""Events of one look: the next one follows at once."""

TEST = "test notification"


class NotTaken(PaasError):
    """The other side did not take an event; it is told again."""


@dataclass(frozen=True)
class Notifier:
    """Adds and removes webhooks, and tells them."""

    store: Store

    def add(self, app: App | None, url: DrainUrl, *, actor: str, every: bool) -> Webhook:
        """Tell it of an app's trouble, or of every event, from now on. Raises `WebhookTaken`."""
        with self.store.transaction():
            webhook = self.store.webhooks.add(app, url, actor, every=every)
            self._note(app, actor, "webhook added", webhook)
        return webhook

    def remove(self, app: App | None, word: str, *, actor: str) -> Webhook:
        """Tell it nothing any more. Raises `WebhookUnknown`."""
        with self.store.transaction():
            webhook = self.store.webhooks.get(app, word)
            self.store.webhooks.remove(webhook)
            self._note(app, actor, "webhook removed", webhook)
        return webhook

    def test(self, app: App | None, word: str, *, actor: str) -> Webhook:
        """Tell it now that it works. Raises `WebhookUnknown`, `NotTaken`, `HttpFailed`."""
        webhook = self.store.webhooks.get(app, word)
        now = datetime.now(UTC).timestamp()
        self._tell(webhook, Event(now, actor, app.name if app else "", TEST, "it arrives"))
        return webhook

    def deliver(self, webhook_id: str) -> None:
        """Tell it what it has not been told. Raises what `_tell` does, and keeps that."""
        webhook = self.store.webhooks.by_id(webhook_id)
        while webhook is not None and (events := self.store.webhooks.untold(webhook_id, AT_ONCE)):
            for event in events:
                try:
                    self._tell(webhook, event)
                except PaasError as error:
                    self.store.webhooks.failed(webhook_id, error.brief)
                    raise
                self.store.webhooks.told(webhook_id, event.id)
            webhook = self.store.webhooks.by_id(webhook_id)

    def _tell(self, webhook: Webhook, event: Event) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"paas/{VERSION}"}
        body = json.dumps(document(event, socket.gethostname())).encode()
        hosts = self.store.settings.value(DRAIN_HOSTS)
        status = outbound.post(webhook.url.text, hosts, body, headers)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotTaken(f"{webhook.url.host} answered {status}")

    def _note(self, app: App | None, actor: str, what: str, webhook: Webhook) -> None:
        name = "" if app is None else app.name
        self.store.events.add(actor, name, what, f"{webhook.id}: {webhook.url}")


def document(event: Event, server: str) -> dict[str, object]:
    """An event as JSON. Chats show `text` (Slack, Mattermost) or `content` (Discord)."""
    said = ": ".join(filter(None, (event.app or server, event.what, event.detail)))
    return {
        "id": event.id,
        "time": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds"),
        "server": server,
        "app": event.app or None,
        "event": event.what,
        "actor": event.actor,
        "detail": event.detail,
        "text": said,
        "content": said,
    }
