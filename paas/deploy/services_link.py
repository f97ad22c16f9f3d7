"""Linking: which config variables of an app hold the URL of which service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from paas.deploy.attempt import Attempt
from paas.deploy.operations import Operations
from paas.deploy.services import ServiceOperations
from paas.errors import PaasError
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.env import Secret
from paas.model.instance import Instance, InstanceState
from paas.model.names import InvalidName, shown
from paas.model.processes import STOP_TIMEOUT
from paas.model.report import Report
from paas.model.service import Link, Service
from paas.model.settings import DRAIN_SECONDS
from paas.plugin.service_values import url_of, urls_of
from paas.store.store import Store

ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
"""RFC 3986, section 3.1."""
LEAVERS_STEP_S = 0.1
"""Between two looks at old instances: they take seconds, and each look reads a table."""


class AlreadyLinked(PaasError):
    """The app has the service's URL."""


class CredentialsChanged(PaasError):
    """The URL that was about to be given is not valid for long any more."""


class NotLinked(PaasError):
    """The app does not have the service's URL."""

    def __init__(self, service: Service, app: App) -> None:
        super().__init__(
            f"Not linked to app {app.name}",
            resolution=f"paas {service.plugin}:link {service.name} {app.name} links it.",
        )


@dataclass(frozen=True)
class LinkWish:
    """What is asked of a link; empty is the plugin's default."""

    alias: str = ""
    query: str = ""
    scheme: str = ""
    database: str = ""

    def check(self) -> None:
        """Raises `InvalidName` for what cannot be part of a variable's name or of a URL."""
        for text, pattern in ((self.alias, ALIAS), (self.scheme, SCHEME)):
            if text and not pattern.fullmatch(text):
                raise InvalidName(f"{shown(text)} cannot be an alias or a scheme")
        if re.search(r"[\s#\0]", self.query):
            raise InvalidName(f"{shown(self.query)} cannot be a query string")


@dataclass(frozen=True)
class ServiceLinks:
    """Links and unlinks; each is one release of the app, or waits for the next one."""

    services: ServiceOperations
    operations: Operations

    def link(
        self,
        service: Service,
        app: App,
        wish: LinkWish,
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> str:
        """Give an app the service's URL; the variable's name. Raises `AlreadyLinked`.

        An app that does not come up with it has no link.
        """
        wish.check()
        # Refused at once; and again in the app's turn, behind those that change its links before.
        self._wished(service, app, wish)
        with self._turn(app, actor, report, restart) as attempt:
            service = self.services.existing(service)
            link = self._wished(service, app, wish)

            def add() -> None:
                # Killed before this there is neither a link nor a variable.
                self._check(service)
                self.services.store.links.add(link)
                self._note(actor, app, "link", service)

            # Its first instances ask the service before the link is one.
            self.services.router.allow(service.id, app.id)
            try:
                self._set(attempt, app, {link.variable: self.url(service, link)}, (), actor, add)
            finally:
                self.services.router.settle(service.id, app.id)
        return link.variable

    def _wished(self, service: Service, app: App, wish: LinkWish) -> Link:
        known = self._between(service, app)
        if known and not wish.alias:
            raise AlreadyLinked(f"Already linked as {known[0].variable}")
        return Link(
            app.id,
            self._variable(service, app, wish.alias),
            service.id,
            wish.scheme or self._scheme_of(service, app),
            wish.query,
            wish.database,
        )

    def unlink(
        self, service: Service, app: App, *, actor: str, report: Report, restart: bool
    ) -> Sequence[str]:
        """Take exactly the variables of their links away; their names. Raises `NotLinked`.

        Old instances that still answer somebody reach the service until they have ended, when
        `ServiceCare.close` ends that too.
        """
        store = self.services.store
        self._linked(service, app)
        begins = restart and bool(self._ours(service, app))
        with self._turn(app, actor, report, begins) as attempt:
            links, ours = self._linked(service, app), self._ours(service, app)

            def remove() -> None:
                for link in links:
                    store.links.remove(link)
                self._note(actor, app, "unlink", service)

            # With the variables: an app that does not come up without keeps the links.
            self._set(attempt, app, {}, ours, actor, remove)
            if not (restart and leavers(store, [app])):
                self.services.router.settle(service.id, app.id)
        return ours

    def promote(
        self, service: Service, app: App, *, actor: str, report: Report, restart: bool
    ) -> str:
        """Make a linked service the app's first one; what was keeps its URL under another
        name. Raises `NotLinked`, and `AlreadyLinked` when it is the first.
        """
        store = self.services.store
        self._promoted(service, app)
        with self._turn(app, actor, report, restart) as attempt:
            service = self.services.existing(service)
            changed = self._promoted(service, app)
            first = changed[0].variable
            values = {link.variable: self._url(link) for link in changed}
            values |= self._by_hand(app, first)

            def add() -> None:
                self._check(service)
                for link in changed:
                    store.links.add(link)
                self._note(actor, app, "promote", service)

            self._set(attempt, app, values, (), actor, add)
        return first

    def _promoted(self, service: Service, app: App) -> list[Link]:
        """The links that a promotion makes, that of the service first."""
        links = self._linked(service, app)
        first = self.services.manifest(service).link.variable
        if any(link.variable == first for link in links):
            raise AlreadyLinked(f"{service.name} is the first already, as {first}")
        return [replace(links[0], variable=first), *self._displaced(service, app, first)]

    @contextmanager
    def _turn(
        self,
        app: App,
        actor: str,
        report: Report,
        restart: bool,  # noqa: FBT001 - handed on
    ) -> Iterator[Attempt | None]:
        """The app's turn, in which nobody else changes its links.

        In this order: a push links its add-ons in its own turn. Whoever tidies leaves alone what
        is opened meanwhile.
        """
        turn = self.operations.turn(app, actor=actor, report=report, restart=restart)
        with turn as attempt, self.services.linking(app):
            yield attempt

    def _check(self, service: Service) -> None:
        """See to it, in the transaction that links it, that the service is what it was when its
        URL was made. Raises `ServiceNotFound`, `CredentialsChanged`.
        """
        if self.services.existing(service).credentials != service.credentials:
            raise CredentialsChanged(
                f"The password of {service.plugin} service {service.name} was changed meanwhile",
                resolution="Try again.",
            )

    def _note(self, actor: str, app: App, verb: str, service: Service) -> None:
        self.services.store.events.add(actor, app.name, f"{service.plugin}:{verb}", service.name)

    def _displaced(self, service: Service, app: App, first: str) -> list[Link]:
        """The link that was first, under a name of its own unless it has one."""
        links = self.services.store.links.of_app(app.id)
        was = next((link for link in links if link.variable == first), None)
        if was is None or sum(link.service_id == was.service_id for link in links) > 1:
            return []
        owner = self.services.store.services.by_id(was.service_id) or service
        return [replace(was, variable=self._own_variable(owner))]

    def _by_hand(self, app: App, first: str) -> dict[str, str]:
        """A URL that nobody linked is kept beside."""
        linked = {link.variable for link in self.services.store.links.of_app(app.id)}
        value = self.services.store.config.get(app.id).get(first)
        if value is None or first in linked:
            return {}
        return {f"{first.removesuffix('_URL')}_PREVIOUS_URL": value.reveal()}

    def relink(
        self, service: Service, *, actor: str, report: Report, whatever_database: bool = False
    ) -> Sequence[tuple[App, PaasError]]:
        """Give every linked app that has a URL of the service the one of now, one release each.

        Of `whatever_database`: the one that such a URL names may be gone. Those whose release
        does not start, and why: for them it waits for the next one.
        """
        failed = []

        def give(app: App, *, restart: bool) -> None:
            with self._turn(app, actor, report, restart) as attempt:
                # As they are now: one that was taken away meanwhile is not given back.
                values = self._values(service, app, whatever_database=whatever_database)
                if values:
                    self._set(attempt, app, values, (), actor)

        for app in self.apps_of(service):
            if not self._values(service, app, whatever_database=whatever_database):
                report.detail(f"{app.name} has been given another URL, which it keeps")
                continue
            report.step(f"Giving {app.name} the new credentials")
            try:
                give(app, restart=True)
            except PaasError as error:
                failed.append((app, error))
                if self.services.store.apps.by_id(app.id) is not None:
                    give(app, restart=False)
        return failed

    def _values(self, service: Service, app: App, *, whatever_database: bool) -> dict[str, str]:
        """The variables of an app that hold a URL of the service's, with that of now."""
        ours = self._ours(service, app, whatever_database=whatever_database)
        links = [link for link in self._between(service, app) if link.variable in ours]
        return {link.variable: self.url(service, link) for link in links}

    def misleads(self, service: Service) -> bool:
        """Whether a linked app has the service's URL with another database than its own."""
        return "database" in service.credentials and any(
            self._ours(service, app) != self._ours(service, app, whatever_database=True)
            for app in self.apps_of(service)
        )

    def _ours(self, service: Service, app: App, *, whatever_database: bool = False) -> list[str]:
        """The variables of their links that hold a URL of the service's, be it an outdated one:
        what somebody has set there since is theirs.
        """
        config = self.services.store.config.get(app.id)
        manifest = self.services.manifest(service)

        def plain(url: str) -> str:
            return _server_of(url) if whatever_database else url

        return [
            link.variable
            for link in self._between(service, app)
            if link.variable in config
            and plain(config[link.variable].reveal())
            in map(plain, urls_of(manifest, service, link))
        ]

    def await_leavers(self, service: Service, report: Report) -> None:
        """Wait until no old instance of a linked app is at work, as long as each of them may be.

        What they were told at their start is theirs to the end of their last request or job.
        """
        store = self.services.store
        apps = self.apps_of(service)
        if found := leavers(store, apps):
            count = f"{len(found)} old instance{'' if len(found) == 1 else 's'}"
            report.step(f"Waiting for {count} to finish")
            limit_s = max(
                store.settings.value(DRAIN_SECONDS, one.app_id)
                + store.processes.value(STOP_TIMEOUT, one.app_id, one.process_type)
                for one in found
            )
            wait_until(lambda: not leavers(store, apps), limit_s, LEAVERS_STEP_S)

    def apps_of(self, service: Service) -> list[App]:
        """The apps that are linked to a service, by name."""
        return linked_apps(self.services.store, service)

    def url(self, service: Service, link: Link | None = None) -> str:
        """The URL that a link gives, or that a new one would."""
        return url_of(self.services.manifest(service), service, link)

    def _url(self, link: Link) -> str:
        service = self.services.store.services.by_id(link.service_id)
        return self.url(service, link) if service is not None else ""

    def _of_app(self, app: App) -> Sequence[Link]:
        return self.services.store.links.of_app(app.id)

    def _between(self, service: Service, app: App) -> list[Link]:
        return [link for link in self._of_app(app) if link.service_id == service.id]

    def _linked(self, service: Service, app: App) -> list[Link]:
        """Their links. Raises `NotLinked`."""
        links = self._between(service, app)
        if not links:
            raise NotLinked(service, app)
        return links

    def _variable(self, service: Service, app: App, alias: str) -> str:
        taken = {*self.services.store.config.get(app.id), *(x.variable for x in self._of_app(app))}
        if alias:
            name = f"{alias.upper()}_URL"
            if name in taken:
                raise AlreadyLinked(
                    f"The variable {name} of {app.name} is in use",
                    resolution="Choose another alias.",
                )
            return name
        first = self.services.manifest(service).link.variable
        return first if first not in taken else self._own_variable(service)

    def _scheme_of(self, service: Service, app: App) -> str:
        """What the app asks for with the variable that Dokku has for it; empty for nothing."""
        prefix = self.services.manifest(service).link.prefix
        value = self.services.store.config.get(app.id).get(f"{prefix}_DATABASE_SCHEME")
        scheme = value.reveal() if value is not None else ""
        return scheme if SCHEME.fullmatch(scheme) else ""

    def _own_variable(self, service: Service) -> str:
        prefix = self.services.manifest(service).link.prefix
        return f"{prefix}_{service.name.upper().replace('-', '_')}_URL"

    def _set(
        self,
        attempt: Attempt | None,
        app: App,
        values: Mapping[str, str],
        unset: Sequence[str],
        actor: str,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        if values or unset:
            self.operations.set_config(attempt, app, values, unset, actor=actor, also=also)
        else:
            with self.services.store.transaction():
                also()


def linked_apps(store: Store, service: Service) -> list[App]:
    """The apps that are linked to a service, by name."""
    ids = {link.app_id for link in store.links.of_service(service.id)}
    return [app for app in store.apps.list() if app.id in ids]


def _server_of(url: str) -> str:
    """A URL of ours without its database and its query."""
    return url.partition("?")[0].rpartition("/")[0]


def leavers(store: Store, apps: Iterable[App]) -> list[Instance]:
    """The old instances of apps that may still be answering somebody."""
    found = (one for app in apps for one in store.instances.list(app.id))
    return [one for one in found if one.state is InstanceState.RETIRING]


def linked_values(services: ServiceOperations, app: App) -> dict[str, Secret]:
    """The variables that an app's links are, as they should be now."""
    found = {}
    for link in services.store.links.of_app(app.id):
        service = services.store.services.by_id(link.service_id)
        if service is not None:
            found[link.variable] = Secret(url_of(services.manifest(service), service, link))
    return found
