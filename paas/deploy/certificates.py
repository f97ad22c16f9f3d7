"""An app's certificates: added, made, removed; a new one counts when it was seen served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from paas.deploy.route import Router
from paas.errors import NotFound, PaasError
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.certificate import Certificate, Source
from paas.model.layout import Layout
from paas.model.report import Report
from paas.proxy.certificates import Pair, read_pair, self_signed
from paas.proxy.proxy import Proxy
from paas.store.store import Store

SERVED_S = 10.0
"""How long a handshake may take to show a new certificate, after nginx has reloaded."""


class NotCovered(PaasError):
    """The certificate and the app have no domain in common."""


class Issued(PaasError):
    """An authority looks after the app's certificates."""


class NotServed(PaasError):
    """The new certificate was not seen; what was there before is served again."""


class NoCertificate(NotFound):
    """The app has no such certificate."""


@dataclass(frozen=True)
class Served:
    """A certificate of an app and the domains that it serves there."""

    certificate: Certificate
    domains: tuple[str, ...]


class Certificates:
    """What commands and renewals do with certificates. Each method raises `PaasError`."""

    def __init__(
        self, layout: Layout, store: Store, proxy: Proxy, router: Router, clock: Clock
    ) -> None:
        self._layout = layout
        self._store = store
        self._proxy = proxy
        self._router = router
        self._clock = clock

    def add(self, app: App, pem: bytes, *, actor: str, report: Report) -> Certificate:
        """Serve an app with the certificate, chain and key in `pem`."""
        if self._store.renewals.find(app.id) is not None:
            raise Issued(
                f"The certificates of {app.name} come from letsencrypt, which would replace it",
                resolution=f"Disable that first: letsencrypt:disable {app.name}",
            )
        pair = read_pair(pem, self._clock.now())
        if pair.chain.count(b"BEGIN CERT") == 1 and not pair.certificate.self_signed:
            report.warn(
                f"No certificate of {pair.certificate.issuer} is with it: unless that is a "
                "root, many clients will not trust the app"
            )
        self.install(app, pair, actor=actor, report=report)
        return pair.certificate

    def generate(
        self, app: App, names: Sequence[str], *, actor: str, report: Report
    ) -> Certificate:
        """Serve an app with a new self-signed certificate, for `names` or all its domains."""
        names = names or self._router.domains(app)
        if not names:
            raise NotCovered(
                f"App {app.name} has no domain", resolution=f"domains:add {app.name} DOMAIN"
            )
        for known in self._store.certificates.list(app.id):
            if not known.self_signed and known.valid_at(self._clock.now()):
                covered = [name for name in names if known.covers(name)]
                if covered:
                    raise NotCovered(
                        f"App {app.name} has a better certificate for {covered[0]}",
                        resolution=f"certs:remove {app.name} {known.fingerprint[:12]}",
                    )
        pair = self_signed(names, self._clock.now())
        self.install(app, pair, actor=actor, report=report)
        return pair.certificate

    def install(self, app: App, pair: Pair, *, actor: str, report: Report) -> None:
        """Serve an app with a pair; what it replaces stays until clients are shown it.

        Raises `NotCovered` or `NotServed`, and then nothing has changed; `NoCertificate` when
        somebody has removed it meanwhile.
        """
        self._check_names(app, pair.certificate)
        if not self._proxy.running():
            raise NotServed("The proxy is not running", resolution="Start it: paas up")
        with self._turn(app):
            self._install(app, pair, actor, report)
        self._warn_of_uncovered(app, report)

    def _turn(self, app: App) -> FileLock:
        """Held by who installs a certificate: of two each would replace the other's."""
        return FileLock(self._layout.locks / f"certificates-{app.id}")

    def _install(self, app: App, pair: Pair, actor: str, report: Report) -> None:
        new = pair.certificate
        with self._store.transaction():
            before = {each.fingerprint for each in self._store.certificates.list(app.id)}
            self._proxy.pairs.keep(pair)
            self._store.certificates.add(app.id, new)
        try:
            self._router.publish(report)
            self._await_served(app, new)
        except BaseException:
            if new.fingerprint not in before:
                self._store.certificates.remove(app.id, new.fingerprint)
            self._router.publish(report)
            raise
        used = self._router.certified(app)
        with self._store.transaction():
            known = {each.fingerprint: each for each in self._store.certificates.list(app.id)}
            if new.fingerprint not in known:
                raise NoCertificate(f"The new certificate of {app.name} was removed meanwhile")
            replaced = [one for one in before & known.keys() if _replaces(new, known[one])]
            for fingerprint in replaced:
                self._store.certificates.remove(app.id, fingerprint)
            self._store.events.add(
                actor, app.name, "certificate added", f"{new.source}: {', '.join(new.names)}"
            )
        if used.keys() & set(replaced):
            self._router.publish(report)
        else:
            # The sites are as they are: what was replaced served nobody any more.
            self._router.forget_pairs()

    def remove(self, app: App, which: str | None, *, actor: str, report: Report) -> list[str]:
        """Take the certificate from an app whose fingerprint begins with `which`, or which
        has that name; without it all of them. Returns the names they had."""
        found = [
            each
            for each in self._store.certificates.list(app.id)
            if which is None or each.fingerprint.startswith(which.lower()) or which in each.names
        ]
        if not found:
            raise NoCertificate(f"App {app.name} has no {'such ' if which else ''}certificate")
        names = self.forget(app, found, actor=actor)
        self._router.publish(report)
        return names

    def forget(self, app: App, found: Sequence[Certificate], *, actor: str) -> list[str]:
        """Take certificates from an app; served they are until `publish`. Their names."""
        names = list(dict.fromkeys(name for each in found for name in each.names))
        with self._store.transaction():
            for each in found:
                self._store.certificates.remove(app.id, each.fingerprint)
            self._store.events.add(actor, app.name, "certificate removed", ", ".join(names))
        return names

    def of(self, app: App) -> list[Served]:
        """The certificates of an app, and what each is used for."""
        used = self._router.certified(app)
        return [
            Served(each, used.get(each.fingerprint, ()))
            for each in self._store.certificates.list(app.id)
        ]

    def publish(self, report: Report) -> None:
        """Have the proxy follow changed settings."""
        self._router.publish(report)

    def _check_names(self, app: App, new: Certificate) -> None:
        domains = self._router.domains(app)
        if any(new.covers(domain) for domain in domains):
            return
        if not domains:
            raise NotCovered(
                f"App {app.name} has no domain that a certificate could be for",
                resolution=f"Add it first: domains:add {app.name} {new.names[0]}",
            )
        raise NotCovered(
            f"The certificate is for {_some(new.names)}, and app {app.name} has {_some(domains)}",
            resolution=f"Add the domain first: domains:add {app.name} {new.names[0]}",
        )

    def _await_served(self, app: App, new: Certificate) -> None:
        domains = self._router.certified(app).get(new.fingerprint, ())
        for domain in domains:
            shown = partial(self._proxy.presents, domain, new.fingerprint)
            if not wait_until(shown, SERVED_S, 0.05):
                raise NotServed(
                    f"The proxy does not serve {domain} with the new certificate",
                    resolution="The old state is back. See what the proxy says: paas doctor",
                )

    def _warn_of_uncovered(self, app: App, report: Report) -> None:
        secure = {name for names in self._router.certified(app).values() for name in names}
        bare = [domain for domain in self._router.domains(app) if domain not in secure]
        if bare:
            report.warn(f"No certificate covers {_some(bare)}: served over plain HTTP")


def _replaces(new: Certificate, old: Certificate) -> bool:
    """Whether nobody needs the old one any more.

    What the operator gave is the operator's: one that was issued stands in front of it only.
    """
    if new.fingerprint == old.fingerprint or not set(old.names) <= set(new.names):
        return False
    return new.source is old.source or old.source is Source.SELF_SIGNED


def _some(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
