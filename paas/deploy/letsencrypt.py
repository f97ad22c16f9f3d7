"""Certificates from an ACME authority for the domains of apps, and their renewal.

The supervisor renews: from one third of the lifetime left or when the authority wants it,
and when an app has got another domain. The old certificate serves until the new one was
seen (`Certificates.install`). A failure is an event, delays that app's next attempt alone,
and changes nothing; a domain that leads elsewhere keeps no other from its certificate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.authority import Authorities, NotReady
from paas.deploy.certificates import Certificates
from paas.deploy.route import Router
from paas.errors import NotFound, PaasError
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.model.letsencrypt import AUTO, KEY_TYPE
from paas.model.renewing import public, renew_at, wait_after
from paas.model.report import Report, Silent
from paas.plugin.acme.failure import AcmeFailed
from paas.plugin.acme.order import issue
from paas.proxy.certificates import Pair
from paas.proxy.proxy import Proxy
from paas.store.renewals import Renewal
from paas.store.store import Store


class NotEnabled(NotFound):
    """The app's certificates do not come from an authority."""

    def __init__(self, app: App) -> None:
        super().__init__(
            f"letsencrypt is not enabled for {app.name}",
            resolution=f"Enable it: letsencrypt:enable {app.name}",
        )


@dataclass(frozen=True)
class Status:
    """One app for which it is enabled. `renew_at` is in seconds since the epoch."""

    app: App
    certificate: Certificate | None
    renewal: Renewal

    @property
    def renew_at(self) -> float | None:
        """From when on the certificate is renewed."""
        if self.certificate is None:
            return None
        return renew_at(self.certificate, self.renewal.suggested_at)


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
        self.authorities = Authorities(layout, store, proxy)

    # -- commands ----------------------------------------------------------------------------

    def enable(self, app: App, *, actor: str, report: Report) -> None:
        """Have a certificate for the domains of an app, and keep it valid.

        Domains that the authority does not find here are told and tried again later, as
        long as it finds one. Raises `NotReady` or `AcmeFailed`; nothing has changed then.
        """
        with self._lock(app):
            refused = None
            if not self._is_current(app, None):
                # An app that was made a moment ago may not be known to the proxy yet.
                self._router.publish(report)
                refused = self._issue(app, actor=actor, report=report)
            with self._store.transaction():
                self._store.settings.set(app.id, AUTO.name, None)
                self._store.renewals.enable(app.id)
                self._store.events.add(actor, app.name, "letsencrypt enabled")
            if refused is not None:
                self._note(app, actor, refused)
                for line in (refused.brief, *refused.details, "They are tried again later."):
                    report.warn(line)

    def disable(self, app: App, *, actor: str, report: Report) -> None:
        """Take the authority's certificates from an app. Raises `NotEnabled`."""
        with self._lock(app):
            if self._store.renewals.find(app.id) is None:
                raise NotEnabled(app)
            self._end(app, actor=actor, report=report)

    def revoke(self, app: App, reason: int, *, actor: str, report: Report) -> None:
        """Have the authority declare an app's certificates invalid, and take them from it.

        `reason` is a code of RFC 5280, section 5.3.1. Raises `NotEnabled` or `AcmeFailed`;
        after the latter they are all still there.
        """
        with self._lock(app):
            issued = self._issued(app)
            if not issued:
                raise NotEnabled(app)
            account = self.authorities.account()
            for each in issued:
                chain = self._proxy.pairs.chain_file(each.fingerprint).read_bytes()
                account.revoke(chain, reason)
            self._end(app, actor=actor, report=report)
            names = sorted({name for each in issued for name in each.names})
            self._store.events.add(actor, app.name, "certificate revoked", ", ".join(names))

    def roll_over(self, *, actor: str) -> None:
        """Give our account a new key. Raises `NotReady` or `AcmeFailed`."""
        self.authorities.account().roll_over()
        self._store.events.add(actor, "", "ACME account key changed")

    def statuses(self) -> list[Status]:
        """All apps for which it is enabled."""
        return [
            Status(app, self._newest(app), renewal)
            for renewal in self._store.renewals.list()
            if (app := self._store.apps.by_id(renewal.app_id)) is not None
        ]

    # -- the supervisor ----------------------------------------------------------------------

    def adopt(self) -> None:
        """Enable it for apps that have a domain of their own and were never asked about it."""
        if not self.authorities.wanted:
            return
        known = {each.app_id for each in self._store.renewals.list()}
        for app in self._store.apps.list():
            if app.id in known or not self._store.settings.value(AUTO, app.id):
                continue
            bare = public(name for name in self._nameable(app) if not self._covered(app, name))
            if bare and app.live is not None and self._store.renewals.enable(app.id):
                self._store.events.add("supervisor", app.name, "letsencrypt enabled", bare[0])

    def due(self) -> list[App]:
        """The apps whose certificate is to be renewed now; cheap, for the supervisor."""
        now = self._clock.now()
        return [
            status.app
            for status in self.statuses()
            if status.renewal.not_before <= now
            and (self._asks(status) or not self._is_current(status.app, status.renewal))
        ]

    def renew(self, app: App, *, actor: str, report: Report | None = None) -> bool:
        """Renew an app's certificate if it is time; says whether it was.

        Raises what went wrong, after having noted it as an event and for the next attempt.
        """
        with self._lock(app):
            renewal = self._store.renewals.find(app.id)
            if renewal is None:
                raise NotEnabled(app)
            return self._renew(app, renewal, actor, report or Silent())

    def renew_due(self, app: App) -> bool:
        """The same for the supervisor, which waits after a failure.

        Also after one of a command that it has just waited for: the authority counts attempts.
        """
        with self._lock(app):
            renewal = self._store.renewals.find(app.id)
            if renewal is None or renewal.not_before > self._clock.now():
                return False
            return self._renew(app, renewal, "supervisor", Silent())

    def _renew(self, app: App, renewal: Renewal, actor: str, report: Report) -> bool:
        renewal = self._ask(app, renewal)
        if self._is_current(app, renewal):
            return False
        try:
            refused = self._issue(app, actor=actor, report=report)
        except PaasError as error:
            self._note(app, actor, error)
            raise
        if refused is not None:
            self._note(app, actor, refused)
            raise refused
        self._store.renewals.enable(app.id)
        return True

    # -- an order ----------------------------------------------------------------------------

    def _issue(self, app: App, *, actor: str, report: Report) -> AcmeFailed | None:
        """A certificate for all names; without those that were refused, which it returns."""
        names, refused = self._names(app), None
        try:
            pair = self._ordered(app, names, report)
        except AcmeFailed as error:
            left = [name for name in names if name not in error.refused]
            if not error.refused or not left or len(left) == len(names):
                raise
            if all(self._covered(app, name) for name in left):
                return error
            refused, pair = error, self._ordered(app, left, report)
        if self._store.apps.by_id(app.id) is None:
            raise NotReady(f"App {app.name} was destroyed meanwhile")
        self._certificates.install(app, pair, actor=actor, report=report)
        return refused

    def _ordered(self, app: App, names: Sequence[str], report: Report) -> Pair:
        return issue(
            self.authorities.account(),
            names,
            self.authorities.control(app),
            key_type=self._store.settings.value(KEY_TYPE, app.id),
            now=self._clock.now(),
            report=report,
        )

    def _note(self, app: App, actor: str, error: PaasError) -> None:
        renewal = self._store.renewals.find(app.id)
        if renewal is None:
            return  # disabled meanwhile: there will be no next attempt
        asked = error.retry_after if isinstance(error, AcmeFailed) else 0.0
        now, newest = self._clock.now(), self._newest(app)
        left = newest.not_after - now if newest is not None else math.inf
        wait = wait_after(renewal.failures, asked, left)
        self._store.renewals.failed(app.id, not_before=now + wait, error=error.brief)
        detail = "; ".join((error.brief, *error.details))
        self._store.events.add(actor, app.name, "certificate renewal failed", detail)

    # -- when the authority wants it ------------------------------------------------------------

    def _asks(self, status: Status) -> bool:
        return status.certificate is not None and status.renewal.ask_at <= self._clock.now()

    def _ask(self, app: App, renewal: Renewal) -> Renewal:
        """Ask when it is time to; an authority that does not say leaves our own rule."""
        newest = self._newest(app)
        if newest is None or renewal.ask_at > self._clock.now():
            return renewal
        chain = self._proxy.pairs.chain_file(newest.fingerprint)
        try:
            at, ask_at = self.authorities.account().renewal_time(chain.read_bytes())
        except (AcmeFailed, NotReady, FileNotFoundError) as error:
            self._store.events.add("supervisor", app.name, "renewal time not known", str(error))
            at, ask_at = renewal.suggested_at, self._clock.now() + wait_after(renewal.failures, 0)
        self._store.renewals.suggested(app.id, at, ask_at=ask_at)
        return self._store.renewals.find(app.id) or renewal

    # -- what there is -------------------------------------------------------------------------

    def _end(self, app: App, *, actor: str, report: Report) -> None:
        issued = self._issued(app)
        # Together: a certificate that stayed would be served, and renewed by nobody.
        with self._store.transaction():
            self._store.renewals.disable(app.id)
            self._store.settings.set(app.id, AUTO.name, "off")
            self._store.events.add(actor, app.name, "letsencrypt disabled")
            if issued:
                self._certificates.forget(app, issued, actor=actor)
        self._router.publish(report)

    def _nameable(self, app: App) -> list[str]:
        """The domains to certify. HTTP-01 cannot show control of a wildcard."""
        names, by_dns = self._router.domains(app), self.authorities.by_dns(app)
        return [name for name in names if by_dns or not name.startswith("*.")]

    def _names(self, app: App) -> Sequence[str]:
        names = self._nameable(app)
        if not names:
            raise NotReady(
                f"App {app.name} has no domain that an authority could look at",
                resolution=f"Add one that leads here: domains:add {app.name} www.example.com",
            )
        return names

    def _is_current(self, app: App, renewal: Renewal | None) -> bool:
        """Whether its certificate covers all its domains, and will for a while."""
        newest, wanted = self._newest(app), self._nameable(app)
        suggested = renewal.suggested_at if renewal else None
        return not wanted or (
            newest is not None
            and self._clock.now() < renew_at(newest, suggested)
            and all(newest.covers(name) for name in wanted)
        )

    def _covered(self, app: App, name: str) -> bool:
        """Whether any good certificate of the app will serve this domain for a while."""
        return any(
            each.covers(name) and not each.self_signed and self._clock.now() < each.renew_at
            for each in self._store.certificates.list(app.id)
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
