"""From what the database says to what the proxy serves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from paas.deploy.hosts import Hosts, implied
from paas.host.clock import Clock
from paas.model import proxysettings as tuned
from paas.model.app import App
from paas.model.certificate import Certificate, choose
from paas.model.port import Port
from paas.model.route import Redirect, Route
from paas.model.settings import (
    DOMAIN,
    HSTS_SECONDS,
    HTTPS_REDIRECT,
    InvalidSetting,
    server_domains,
)
from paas.plugin.proxyrule import ProxyRule
from paas.proxy.pairs import Pairs
from paas.proxy.render import HEADERS
from paas.proxy.site import Listener, Site, SiteOptions, SiteState, Tls
from paas.proxy.snippet import BrokenSnippet, rendered
from paas.store.ports import SHARED
from paas.store.settings import Snapshot
from paas.store.store import Store

Slots = Callable[[App, int | None], Sequence[str]]
"""The slot addresses of an app's `web`, or of one of its other ports."""

Rules = Callable[[], Sequence[ProxyRule]]
"""The settings of the proxy that enabled plugins add."""


@dataclass(frozen=True)
class World:
    """Everything that sites are made of, as it was at one moment."""

    apps: Sequence[App]
    settings: Snapshot
    hosts: Hosts
    ports: Mapping[int, Sequence[Port]]

    @classmethod
    def of(cls, store: Store) -> World:
        """What the database says now; made once for as long as it says the same."""
        state = store.state
        known = _KNOWN.get(store)
        if known is not None and state is not None and known[0] == state:
            return known[1]
        apps, settings = store.apps.list(), store.settings.snapshot()
        world = cls(apps, settings, _hosts(store, apps, settings), store.ports.all())
        if state is not None:
            _KNOWN[store] = state, world
        return world

    @cached_property
    def by_id(self) -> Mapping[int, App]:
        return {app.id: app for app in self.apps}


_KNOWN: WeakKeyDictionary[Store, tuple[Hashable, World]] = WeakKeyDictionary()
"""A report of all apps asks for each: with hundreds of them, that would be for ever."""


def _hosts(store: Store, apps: Iterable[App], settings: Snapshot) -> Hosts:
    domains = server_domains(settings.value(DOMAIN))
    added = store.domains.routes()
    redirects = store.domains.all_redirects()
    # What was added by name is not lost to an app that happens to be called so.
    taken = {route for _, route in added} | {
        each.source for them in redirects.values() for each in them
    }
    routes: dict[Route, int] = {}
    for app in apps:
        if settings.value(tuned.DEFAULT_DOMAIN, app.id):
            for route in implied(app.name, domains):
                if route not in taken:
                    routes[route] = app.id
    routes.update((route, app_id) for app_id, route in added)
    return Hosts(routes, redirects)


class Sites:
    """Makes sites. What keeps one from being whole is told, and left out of it."""

    def __init__(
        self, store: Store, pairs: Pairs, clock: Clock, slots: Slots, rules: Rules
    ) -> None:
        self._store = store
        self._pairs = pairs
        self._clock = clock
        self._slots = slots
        self._rules = rules

    def all(self, tell: Callable[[App, str], None]) -> list[Site]:
        """The site of every app; `tell` hears which snippets cannot be used, and why."""
        world = World.of(self._store)
        certificates = self._store.certificates.by_app()
        rules = self._rules()
        sites = []
        for app in world.apps:
            extra = ""
            try:
                extra = self.added(world, app, rules)
                extra += self.directives(app, self._snippet(app))
            except (BrokenSnippet, InvalidSetting) as error:
                tell(app, error.brief)
            sites.append(self.site(world, app, certificates.get(app.id, ()), extra))
        return sites

    def added(self, world: World, app: App, rules: Sequence[ProxyRule]) -> str:
        """What the settings of plugins add to an app's site.

        Raises `BrokenSnippet`, and `InvalidSetting` for a value that its plugin, since it was
        updated, takes no more.
        """
        extra = ""
        for rule in rules:
            value = world.settings.value(rule.setting(), app.id)
            if rule.applies(value):
                extra += self.directives(app, rule.directives, value)
        return extra

    def directives(self, app: App, snippet: str, value: str | None = None) -> str:
        """A snippet as nginx gets it. Raises `BrokenSnippet`."""
        if not snippet.strip():
            return ""
        names = (name for name, _ in HEADERS)
        return rendered(snippet, f"http://paas-{app.name}", names, value)

    def _snippet(self, app: App) -> str:
        return self._store.releases.snippet(app.id, app.live) if app.live else ""

    def site(self, world: World, app: App, certificates: Sequence[Certificate], extra: str) -> Site:
        """One app's."""
        hosts = world.hosts
        used = certified(certificates, hosts.carried(app.id), self._clock.now())
        return Site(
            app=app.name,
            domains=tuple(hosts.carried(app.id)),
            slots=tuple(self._slots(app, None)),
            state=state_of(app, maintenance=world.settings.value(tuned.MAINTENANCE, app.id)),
            options=options_of(world.settings, app.id, extra),
            tls=tuple(
                Tls(
                    domains,
                    self._pairs.chain_file(one.fingerprint),
                    self._pairs.key_file(one.fingerprint),
                    stapled=one.stapled,
                )
                for one in certificates
                if (domains := used.get(one.fingerprint))
            ),
            mounts=tuple(hosts.mounts(app.id)),
            shared=tuple(hosts.shared(app.id)),
            bare=tuple(hosts.bare(app.id)),
            redirects=self._redirects(hosts, app),
            listeners=tuple(
                Listener(port, tuple(self._slots(app, port.target)))
                for port in world.ports.get(app.id, ())
                if port.port not in SHARED or port.scheme.raw
            ),
            page=world.settings.value(tuned.MAINTENANCE_PAGE, app.id),
        )

    def _redirects(self, hosts: Hosts, app: App) -> tuple[Redirect, ...]:
        carried = set(hosts.carried(app.id))
        return tuple(
            each for each in hosts.redirects.get(app.id, ()) if each.source.host in carried
        )


def certified(
    certificates: Sequence[Certificate], hosts: Iterable[str], now: float
) -> dict[str, tuple[str, ...]]:
    """The certificates that serve `hosts`, by fingerprint, and the hosts of each."""
    found: dict[str, tuple[str, ...]] = {}
    for host in hosts if certificates else ():
        best = choose(certificates, host, now)
        if best is not None:
            found[best.fingerprint] = (*found.get(best.fingerprint, ()), host)
    return found


def options_of(settings: Snapshot, app_id: int, extra: str) -> SiteOptions:
    """What was tuned about an app's site."""
    value = settings.value
    return SiteOptions(
        max_body_bytes=value(tuned.MAX_BODY, app_id),
        connect_timeout_s=value(tuned.CONNECT_TIMEOUT, app_id),
        read_timeout_s=value(tuned.READ_TIMEOUT, app_id),
        send_timeout_s=value(tuned.SEND_TIMEOUT, app_id),
        body_timeout_s=value(tuned.BODY_TIMEOUT, app_id),
        keepalive_timeout_s=value(tuned.KEEPALIVE_TIMEOUT, app_id),
        buffering=value(tuned.BUFFERING, app_id),
        request_buffering=value(tuned.REQUEST_BUFFERING, app_id),
        compression=value(tuned.COMPRESSION, app_id),
        https_redirect=value(HTTPS_REDIRECT, app_id),
        hsts_s=value(HSTS_SECONDS, app_id),
        hsts_subdomains=value(tuned.HSTS_SUBDOMAINS, app_id),
        hsts_preload=value(tuned.HSTS_PRELOAD, app_id),
        canonical=value(tuned.CANONICAL, app_id),
        users=value(tuned.BASIC_AUTH, app_id),
        allow=tuple(filter(None, value(tuned.ALLOW, app_id).split(","))),
        rate=value(tuned.RATE_LIMIT, app_id),
        rate_burst=value(tuned.RATE_BURST, app_id),
        connections=value(tuned.CONNECTION_LIMIT, app_id),
        sticky=value(tuned.STICKY, app_id),
        strip_path=value(tuned.STRIP_PATH, app_id),
        log_format=value(tuned.LOG_FORMAT, app_id),
        extra=extra,
    )


def state_of(app: App, *, maintenance: bool = False) -> SiteState:
    """What a request to the app's domains meets."""
    if maintenance:
        return SiteState.MAINTENANCE
    if not app.deployed:
        return SiteState.EMPTY
    return SiteState.STOPPED if app.stopped else SiteState.LIVE
