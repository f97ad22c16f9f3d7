"""Certificates from an ACME authority for the domains of apps, and their renewal.

The supervisor renews: from one third of the lifetime left, and when an app has got another
domain. The old certificate serves until the new one was seen (`Certificates.install`); a
failure is an event, delays that app's next attempt alone, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.certificates import Certificates
from paas.deploy.route import Router
from paas.errors import NotFound, PaasError
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.model.report import Report, Silent
from paas.model.settings import LETSENCRYPT_EMAIL, LETSENCRYPT_SERVER, LETSENCRYPT_TRUST
from paas.plugin.acme import Authority
from paas.proxy.proxy import Proxy
from paas.store.renewals import Renewal
from paas.store.store import Store

FIRST_WAIT_S = 15 * 60.0
LONGEST_WAIT_S = 24 * 3600.0
"""Between attempts after failures, doubled each time. Let's Encrypt allows five failures an
hour for each name (https://letsencrypt.org/docs/rate-limits/)."""


class NotReady(PaasError):
    """Something is missing before an authority can be asked."""


class NotEnabled(NotFound):
    """The app's certificates do not come from an authority."""

    def __init__(self, app: App) -> None:
        super().__init__(
            f"letsencrypt is not enabled for {app.name}",
            resolution=f"Enable it: letsencrypt:enable {app.name}",
        )


@dataclass(frozen=True)
class Status:
    """One app for which it is enabled."""

    app: App
    certificate: Certificate | None
    renewal: Renewal


class Letsencrypt:
    """What commands and the supervisor do with an authority."""

    def __init__(
        self,
        layout: Layout,
        store: Store,
        proxy: Proxy,
        router: Router,
        certificates: Certificates,
        clock: Clock,
    ) -> None:
        self._layout = layout
        self._store = store
        self._proxy = proxy
        self._router = router
        self._certificates = certificates
        self._clock = clock

    def enable(self, app: App, *, actor: str, report: Report) -> None:
        """Have a certificate for all domains of an app, and keep it valid.

        Raises `NotReady` or `AcmeFailed`; nothing has changed then.
        """
        with self._lock(app):
            if not self._is_current(app):
                self._issue(app, actor=actor, report=report)
            self._store.renewals.enable(app.id)

    def disable(self, app: App, *, actor: str, report: Report) -> None:
        """Take the authority's certificates from an app. Raises `NotEnabled`."""
        with self._lock(app):
            if self._store.renewals.find(app.id) is None:
                raise NotEnabled(app)
            self._store.renewals.disable(app.id)
            for certificate in self._issued(app):
                self._certificates.remove(app, certificate.fingerprint, actor=actor, report=report)

    def statuses(self) -> list[Status]:
        """All apps for which it is enabled."""
        return [
            Status(app, self._newest(app), renewal)
            for renewal in self._store.renewals.list()
            if (app := self._store.apps.by_id(renewal.app_id)) is not None
        ]

    def due(self) -> list[App]:
        """The apps whose certificate is to be renewed now; cheap, for the supervisor."""
        now = self._clock.now()
        return [
            status.app
            for status in self.statuses()
            if status.renewal.not_before <= now and not self._is_current(status.app)
        ]

    def renew(self, app: App, *, actor: str, report: Report | None = None) -> bool:
        """Renew an app's certificate if it is time; says whether it was.

        Raises what went wrong, after having noted it as an event and for the next attempt.
        """
        with self._lock(app):
            renewal = self._store.renewals.find(app.id)
            if renewal is None:
                raise NotEnabled(app)
            if self._is_current(app):
                return False
            try:
                self._issue(app, actor=actor, report=report or Silent())
            except PaasError as error:
                self._note(app, renewal, actor, error)
                raise
            self._store.renewals.enable(app.id)
            return True

    def _issue(self, app: App, *, actor: str, report: Report) -> None:
        pair = self._authority().issue(self._names(app), self._clock.now(), report)
        if self._store.apps.by_id(app.id) is None:
            raise NotReady(f"App {app.name} was destroyed meanwhile")
        self._certificates.install(app, pair, actor=actor, report=report)

    def _note(self, app: App, renewal: Renewal, actor: str, error: PaasError) -> None:
        wait = min(FIRST_WAIT_S * 2.0**renewal.failures, LONGEST_WAIT_S)
        self._store.renewals.failed(app.id, not_before=self._clock.now() + wait, error=error.brief)
        detail = "; ".join((error.brief, *error.details))
        self._store.events.add(actor, app.name, "certificate renewal failed", detail)

    def _authority(self) -> Authority:
        settings = self._store.settings
        email = settings.value(LETSENCRYPT_EMAIL)
        if not email:
            raise NotReady(
                "The authority wants an e-mail address, and none is set",
                resolution="Set it once for all apps: letsencrypt:set --email you@example.com",
            )
        return Authority(
            directory=settings.value(LETSENCRYPT_SERVER),
            email=email,
            trust=settings.value(LETSENCRYPT_TRUST),
            accounts=self._layout.proxy / "accounts",
            answered=self._proxy.challenges.answered,
        )

    def _names(self, app: App) -> Sequence[str]:
        """The domains to certify. HTTP-01 cannot show control of a wildcard."""
        names = [name for name in self._router.domains(app) if not name.startswith("*.")]
        if not names:
            raise NotReady(
                f"App {app.name} has no domain that an authority could look at",
                resolution=f"Add one that leads here: domains:add {app.name} www.example.com",
            )
        return names

    def _is_current(self, app: App) -> bool:
        """Whether its certificate covers all its domains, and will for a while."""
        newest = self._newest(app)
        wanted = {name for name in self._router.domains(app) if not name.startswith("*.")}
        return not wanted or (
            newest is not None
            and self._clock.now() < newest.renew_at
            and all(newest.covers(name) for name in wanted)
        )

    def _newest(self, app: App) -> Certificate | None:
        return next(reversed(self._issued(app)), None)

    def _issued(self, app: App) -> list[Certificate]:
        return [
            each
            for each in self._store.certificates.list(app.id)
            if each.source is Source.LETSENCRYPT
        ]

    def _lock(self, app: App) -> FileLock:
        return FileLock(self._layout.locks / f"letsencrypt-{app.id}")
