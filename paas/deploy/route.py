"""Bringing maps and proxy to what the database says is live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from math import ceil

from paas.deploy.draft import WEB
from paas.deploy.running import owner_of
from paas.engine.engine import Engine
from paas.engine.network.addresses import SLOTS, Backend, ServiceAddresses
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.certificate import choose
from paas.model.instance import Instance
from paas.model.report import Report
from paas.model.settings import DOMAIN, HSTS_SECONDS, HTTP_PORT, HTTPS_PORT, HTTPS_REDIRECT
from paas.proxy.proxy import Proxy
from paas.proxy.site import Site, SiteOptions, SiteState, Tls
from paas.store.store import Store


def service_key(app_id: int, process_type: str = WEB) -> str:
    """The engine's name of an app process type's stable addresses."""
    return f"{owner_of(app_id)}/{process_type}"


class Router:
    """Writes the slot maps and the proxy's sites from the database, nothing else.

    Both writes are whole and idempotent, so that whoever finds the database ahead of
    them (after a crash) repeats them.
    """

    def __init__(self, store: Store, engine: Engine, proxy: Proxy, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._proxy = proxy
        self._clock = clock

    def switch(self, apps: Iterable[App]) -> None:
        """Send the traffic of `apps` to their live instances, in one transaction."""
        # The database is read under the lock: whoever reads later also writes later.
        with self._maps():
            self._write([app for app in apps if self._store.apps.by_id(app.id) is not None])

    def mend(self) -> None:
        """Switch the apps whose traffic goes elsewhere than the database says."""
        with self._maps():
            self._write([app for app in self._store.apps.list() if self._is_outdated(app)])

    def forget(self, app_id: int) -> None:
        """Give back the addresses of an app that is gone and that nginx no longer names."""
        with self._maps():
            self._engine.network.release_service(service_key(app_id))

    def leads_to(self, instance: Instance) -> bool:
        """Whether new connections may still arrive at an instance."""
        address = IPv4Address(instance.address)
        backends = self._engine.network.backends(service_key(instance.app_id))
        return any(backend.address == address for backend in backends)

    def _maps(self) -> FileLock:
        return FileLock(self._engine.layout.locks / "maps")

    def _write(self, apps: Sequence[App]) -> None:
        for app in apps:
            self._addresses(app)
        if apps:
            self._engine.network.set_backends(
                {service_key(app.id): self._backends(app) for app in apps}
            )

    def _is_outdated(self, app: App) -> bool:
        return list(self._engine.network.backends(service_key(app.id))) != self._backends(app)

    def _addresses(self, app: App) -> ServiceAddresses:
        """The app's stable addresses: eight slots, and eight more each time it outgrows them.

        Slots are never taken back, so scaling reloads nginx only on the way up.
        """
        slots = SLOTS * max(1, ceil(len(self._backends(app)) / SLOTS))
        return self._engine.network.service(service_key(app.id), slots)

    def _backends(self, app: App) -> list[Backend]:
        return [
            Backend(IPv4Address(one.address), one.port)
            for one in self._store.instances.list(app.id)
            if one.process_type == WEB and one.state.can_serve and one.port
        ]

    def publish(self, report: Report) -> None:
        """Make nginx serve every app under its domains; reloads only on a change."""
        applied = self._proxy.sync(lambda: [self._site(app) for app in self._store.apps.list()])
        for name, reason in applied.quarantined:
            report.warn(f"The proxy configuration of {name} is left out: {reason}")
        if not applied.quarantined:
            self._forget_pairs()

    def _forget_pairs(self) -> None:
        """Remove the keys of certificates that no app has any more."""
        pairs, certificates = self._proxy.pairs, self._store.certificates
        if pairs.others(certificates.fingerprints()):
            # Certificates are added in a transaction too: none is between file and row.
            with self._store.transaction():
                pairs.forget_others(certificates.fingerprints())

    def _site(self, app: App) -> Site:
        addresses = self._addresses(app)
        settings = self._store.settings
        return Site(
            app=app.name,
            domains=tuple(self.domains(app)),
            slots=tuple(str(slot) for slot in addresses.slots),
            state=state_of(app),
            options=SiteOptions(
                https_redirect=settings.value(HTTPS_REDIRECT, app.id),
                hsts_s=settings.value(HSTS_SECONDS, app.id),
            ),
            tls=tuple(
                Tls(domains, self._proxy.pairs.chain_file(one), self._proxy.pairs.key_file(one))
                for one, domains in self.certified(app).items()
            ),
        )

    def certified(self, app: App) -> dict[str, tuple[str, ...]]:
        """The certificates that serve an app, by fingerprint, and the domains of each."""
        certificates = self._store.certificates.list(app.id)
        found: dict[str, tuple[str, ...]] = {}
        for domain in self.domains(app) if certificates else ():
            best = choose(certificates, domain, self._clock.now())
            if best is not None:
                found[best.fingerprint] = (*found.get(best.fingerprint, ()), domain)
        return found

    def domains(self, app: App) -> list[str]:
        """The app's own domains behind `<app>.<server domain>`."""
        own = self._store.domains.list(app.id)
        server = self._store.settings.value(DOMAIN)
        return [*([f"{app.name}.{server}"] if server else []), *own]

    def urls(self, app: App) -> list[str]:
        """Where to open the app; nothing when it has no domain."""
        secure = {domain for domains in self.certified(app).values() for domain in domains}
        return [self._url(domain, secure=domain in secure) for domain in self.domains(app)]

    def _url(self, domain: str, *, secure: bool) -> str:
        scheme, port, usual = ("https", HTTPS_PORT, 443) if secure else ("http", HTTP_PORT, 80)
        number = self._store.settings.value(port)
        return f"{scheme}://{domain}" + (f":{number}" if number != usual else "")


def state_of(app: App) -> SiteState:
    """What a request to the app's domains meets."""
    if not app.deployed:
        return SiteState.EMPTY
    return SiteState.STOPPED if app.stopped else SiteState.LIVE
