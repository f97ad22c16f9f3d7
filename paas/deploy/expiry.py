"""Certificates that are about to end although somebody looks after them: said once a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from paas.deploy.route import Router
from paas.host.clock import Clock
from paas.model.app import App
from paas.model.certificate import Certificate
from paas.model.renewing import warn_at
from paas.store.store import Store

WARNING = "certificate expires soon"
AGAIN_S = 86400.0


@dataclass(frozen=True)
class Expiry:
    """Looks at what is served: a certificate that no domain uses may end."""

    store: Store
    router: Router
    clock: Clock

    def warn(self) -> None:
        """Add an event for each app with a certificate that should long have been renewed."""
        for app in self.store.apps.list():
            found = self.expiring(app)
            if found and self._is_new(app):
                details = [f"{', '.join(names)}: {_end(each)}" for each, names in found]
                self.store.events.add("supervisor", app.name, WARNING, "; ".join(details))

    def expiring(self, app: App) -> list[tuple[Certificate, tuple[str, ...]]]:
        """The certificates of an app that end soon or have ended, with the domains they serve."""
        used, now = self.router.certified(app), self.clock.now()
        return [
            (each, used[each.fingerprint])
            for each in self.store.certificates.list(app.id)
            if each.fingerprint in used and warn_at(each) <= now
        ]

    def _is_new(self, app: App) -> bool:
        last = self.store.events.last(app.name, WARNING)
        return last is None or self.clock.now() - last.at >= AGAIN_S


def _end(certificate: Certificate) -> str:
    day = datetime.fromtimestamp(certificate.not_after, UTC)
    return f"until {day:%Y-%m-%d %H:%M} UTC"
