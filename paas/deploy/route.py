"""Bringing maps and proxy to what the database says is live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from math import ceil
from pathlib import Path

from paas.deploy.draft import WEB
from paas.deploy.exposed import exposed_services
from paas.deploy.naming import Naming
from paas.deploy.running import owner_of
from paas.deploy.sites import Sites, World, certified
from paas.engine.engine import Engine
from paas.engine.network.addresses import SLOTS, Backend, ServiceAddresses
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.instance import Instance
from paas.model.port import Port
from paas.model.report import Report
from paas.model.route import Route
from paas.model.settings import HTTP_PORT, HTTPS_PORT
from paas.plugin.installed import Installed
from paas.proxy.exposed import PREFIX, Exposed
from paas.proxy.openings import Opening
from paas.proxy.proxy import Applied, Proxy
from paas.proxy.site import Site, SiteState
from paas.proxy.snippet import BrokenSnippet
from paas.proxy.traffic import Mark
from paas.store.ports import SHARED
from paas.store.store import Store

PORT_CLOSED = "port closed"
"""The event of a port that is an app's or a service's, and that another program has."""

AGAIN_SECONDS = 86400


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
        self.rules = Installed(engine.layout, store.plugins).proxy_rules
        self._sites = Sites(store, proxy.pairs, clock, self._slots, self.rules)
        self._left_out: dict[str, str] = {}
        self.naming = Naming(store, engine)

    def switch(self, apps: Iterable[App]) -> None:
        """Send the traffic of `apps` to their live instances, in one transaction."""
        # The database is read under the lock: whoever reads later also writes later.
        with self._maps():
            self._write([app for app in apps if self._store.apps.by_id(app.id) is not None])
        self.naming.publish()

    def mend(self) -> None:
        """Switch the apps whose traffic goes elsewhere than the database says."""
        with self._maps():
            self._write([app for app in self._store.apps.list() if self._is_outdated(app)])
        self.naming.publish()

    def forget(self, app_id: int) -> None:
        """Give back the addresses of an app that is gone and that nginx no longer names."""
        with self._maps():
            for key in self._engine.network.services_of(f"{owner_of(app_id)}/"):
                self._engine.network.release_service(key)

    def forget_ports(self, app: App) -> None:
        """Give back the addresses of port mappings that the app has no more."""
        with self._maps():
            for key in self._engine.network.services_of(f"{owner_of(app.id)}/{WEB}:"):
                if key not in self._wanted(app):
                    self._engine.network.release_service(key)

    def leads_to(self, instance: Instance) -> bool:
        """Whether new connections may still arrive at an instance."""
        address = IPv4Address(instance.address)
        network = self._engine.network
        return any(
            backend.address == address
            for key in network.services_of(f"{owner_of(instance.app_id)}/")
            for backend in network.backends(key)
        )

    def _maps(self) -> FileLock:
        return FileLock(self._engine.layout.locks / "maps")

    def _write(self, apps: Sequence[App]) -> None:
        wanted = [item for app in apps for item in self._wanted(app).items()]
        for key, backends in wanted:
            self._addresses(key, len(backends))
        if wanted:
            self._engine.network.set_backends(dict(wanted))

    def _is_outdated(self, app: App) -> bool:
        backends = self._engine.network.backends
        return any(list(backends(key)) != wanted for key, wanted in self._wanted(app).items())

    def _addresses(self, key: str, backends: int) -> ServiceAddresses:
        """Stable addresses: eight slots, and eight more each time the app outgrows them.

        Slots are never taken back, so scaling reloads nginx only on the way up.
        """
        return self._engine.network.service(key, SLOTS * max(1, ceil(backends / SLOTS)))

    def _slots(self, app: App, port: int | None) -> Sequence[str]:
        """The slots of an app's `web`, or of another port inside it."""
        key = service_key(app.id, WEB if port is None else f"{WEB}:{port}")
        return [str(slot) for slot in self._addresses(key, len(self._instances(app))).slots]

    def _wanted(self, app: App) -> dict[str, list[Backend]]:
        """Where each of the app's services should lead."""
        instances, ports = self._instances(app), self._store.ports.list(app.id)
        # 80 and 443 lead to where `web` listens, unless a mapping says otherwise.
        main = next((each.target for each in ports if _is_main(each)), None)
        services = {service_key(app.id): main}
        services |= {
            service_key(app.id, f"{WEB}:{each.target}"): each.target
            for each in ports
            if not _is_main(each)
        }
        return {
            key: [Backend(IPv4Address(one.address), port or one.port) for one in instances]
            for key, port in services.items()
        }

    def _instances(self, app: App) -> list[Instance]:
        return [
            one
            for one in self._store.instances.list(app.id)
            if one.process_type == WEB and one.can_take_requests and one.port
        ]

    def publish(self, report: Report) -> Applied:
        """Make nginx serve every app under its domains; reloads only on a change.

        What is left out is told, and is in what is returned.
        """
        broken: dict[str, str] = {}

        def read() -> list[Site | Exposed]:
            broken.clear()
            sites = self._sites.all(lambda app, why: broken.update({app.name: why}))
            exposed = exposed_services(
                self._store,
                self._engine,
                self._proxy.pairs,
                lambda name, why: broken.update({name: why}),
            )
            return [*sites, *exposed]

        applied = self._proxy.sync(read)
        applied = replace(applied, quarantined=(*applied.quarantined, *sorted(broken.items())))
        for name, reason in applied.quarantined:
            report.warn(f"The proxy configuration of {name} is left out: {reason}")
        self._left_out = dict(applied.quarantined)
        self._tell_closed(applied)
        self.forget_pairs()
        return applied

    def _tell_closed(self, applied: Applied) -> None:
        reasons: dict[str, list[str]] = {}
        for each in applied.closed:
            reasons.setdefault(each.app.removeprefix(PREFIX), []).append(each.reason)
        events, now = self._store.events, self._clock.now()
        for app, why in reasons.items():
            detail, last = "; ".join(why), events.last(app, PORT_CLOSED)
            if last is None or last.detail != detail or now - last.at >= AGAIN_SECONDS:
                events.add("proxy", app, PORT_CLOSED, detail)

    def refused(self, port: Port, patience_s: float = 0.0) -> str | None:
        """Why the server cannot lead a port of its own to an app; None when it can, at the latest
        after `patience_s`, also when the proxy has it open already, for whomever.
        """
        wanted = Opening.of(port)
        if not _has_listener(port) or wanted in self._proxy.open():
            return None
        wait_until(lambda: self._proxy.refused(wanted) is None, patience_s)
        return self._proxy.refused(wanted)

    def closed(self) -> list[tuple[str, str]]:
        """The apps and services some port of which another program has, and why."""
        wanted = {
            Opening.of(port): app.name
            for app in self._store.apps.list()
            for port in self._store.ports.list(app.id)
            if _has_listener(port)
        }
        for exposure in self._store.exposures.list():
            service = self._store.services.by_id(exposure.service_id)
            if service is not None:
                wanted[Opening(exposure.port)] = service.hostname
        known = self._proxy.open()
        found = [(name, one) for one, name in sorted(wanted.items()) if one not in known]
        return [(name, why) for name, one in found if (why := self._proxy.refused(one))]

    def left_out(self, app: App) -> str | None:
        """Why the last `publish` did not serve an app as it should be; None when it did."""
        return self._left_out.get(app.name)

    def access_log(self, app: App) -> Path:
        """The app's access log."""
        return self._proxy.logs.of(app.name)

    def error_log(self, app: App) -> Path:
        """What the proxy complains of in requests to the app."""
        return self._proxy.logs.errors_of(app.name)

    def forget_logs(self, app: App) -> None:
        """Remove both, and what its requests are counted from; before its name is free."""
        self._proxy.logs.forget(app.name)

    def rename_logs(self, app: App, new: str) -> None:
        """Let the app have them under a name that it gets; before anybody serves it there."""
        self._proxy.logs.rename(app.name, new)

    def mark(self, app: App) -> Mark:
        """The present, for `served_since`."""
        return self._proxy.traffic.mark(app.name)

    def served_since(self, app: App, mark: Mark) -> tuple[int, int]:
        """How many requests for an app came since then, and how many of them failed."""
        return self._proxy.traffic.served_since(app.name, mark)

    def check_snippet(self, app: App, snippet: str) -> None:
        """Raise `BrokenSnippet` unless the app's site would pass with these directives."""
        extra = self._sites.directives(app, snippet)
        if extra:
            site = self._sites.site(World.of(self._store), app, (), extra)
            shown = site.domains or (f"{app.name}.invalid",)
            reason = self._proxy.refuses(replace(site, state=SiteState.LIVE, domains=shown))
            if reason is not None:
                raise BrokenSnippet(
                    f"nginx refuses the proxy's snippet: {reason}",
                    resolution="The old release keeps serving. Mend the file and push again.",
                )

    def forget_pairs(self) -> None:
        """Remove the keys of certificates that no app has any more.

        Not while a site is left out: in its place an earlier text may name any of them.
        """
        if self._left_out:
            return
        pairs = self._proxy.pairs
        if pairs.others(self._fingerprints()):
            # Certificates are added in a transaction too: none is between file and row.
            with self._store.transaction():
                pairs.forget_others(self._fingerprints())

    def _fingerprints(self) -> set[str]:
        return self._store.certificates.fingerprints() | self._store.exposures.fingerprints()

    def certified(self, app: App) -> dict[str, tuple[str, ...]]:
        """The certificates that serve an app, by fingerprint, and the domains of each."""
        certificates = self._store.certificates.list(app.id)
        return certified(certificates, self.domains(app), self._clock.now())

    def domains(self, app: App) -> list[str]:
        """The hosts that are the app's, those that redirect and those it shares included."""
        return list(World.of(self._store).hosts.carried(app.id))

    def host(self, app: App) -> str:
        """A host that the app answers to, for who asks an instance of it; empty for none."""
        return next((one.host for one in self.served(app) if not one.host.startswith("*")), "")

    def served(self, app: App) -> Sequence[Route]:
        """What the app serves: hosts, and parts of hosts below a path."""
        return World.of(self._store).hosts.served(app.id)

    def owner(self, route: Route) -> App | None:
        """The app that has a name by itself or was given it, to serve or to redirect."""
        world = World.of(self._store)
        owner = world.hosts.routes.get(route)
        for app_id, redirects in world.hosts.redirects.items():
            if any(each.source == route for each in redirects):
                owner = app_id
        return world.by_id.get(owner) if owner is not None else None

    def losers(self, app: App, route: Route) -> Sequence[App]:
        """The other apps that would lose visitors to an app that had this route too."""
        world = World.of(self._store)
        return [world.by_id[one] for one in world.hosts.losers(app.id, route)]

    def urls(self, app: App) -> list[str]:
        """Where to open the app; nothing when it has no domain."""
        world = World.of(self._store)
        carriers = {world.hosts.carrier(route.host) for route in world.hosts.served(app.id)}
        secure = {
            domain
            for carrier in carriers
            if carrier is not None
            for domains in self.certified(world.by_id[carrier]).values()
            for domain in domains
        }
        found = [
            self._url(route, secure=route.host in secure) for route in world.hosts.served(app.id)
        ]
        return found + [_port_url(port) for port in world.ports.get(app.id, ())]

    def _url(self, route: Route, *, secure: bool) -> str:
        scheme, port, usual = ("https", HTTPS_PORT, 443) if secure else ("http", HTTP_PORT, 80)
        number = self._store.settings.value(port)
        return f"{scheme}://{route.host}" + (f":{number}" if number != usual else "") + route.path


def _has_listener(port: Port) -> bool:
    return port.port not in SHARED or port.scheme.raw


def _is_main(port: Port) -> bool:
    return port.port in SHARED and not port.scheme.raw


def _port_url(port: Port) -> str:
    return f"{port.scheme} on port {port.port}"
