"""What is set about how an app is reached: domains, redirects, ports, maintenance, tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from paas.deploy.route import Router
from paas.errors import NotFound, PaasError
from paas.model.app import App
from paas.model.names import parse_domain, shown
from paas.model.port import Port, Scheme
from paas.model.proxysettings import DEFAULT_DOMAIN, MAINTENANCE, MAINTENANCE_PAGE, proxy_setting
from paas.model.report import Report
from paas.model.route import Redirect, Route
from paas.model.settings import (
    DOMAIN,
    HTTP_PORT,
    HTTPS_PORT,
    Setting,
    UnknownSetting,
    server_domains,
)
from paas.proxy.openings import Opening
from paas.proxy.proxy import Applied
from paas.proxy.render import STREAM_MODULE
from paas.store.domains import DomainNotFound, DomainTaken
from paas.store.ports import SHARED, PortTaken
from paas.store.store import Store

MAX_PAGE_BYTES = 256 * 1024

CLOSES_S = 1.0
"""How long a port that was closed may stay in use."""

SEE_BY_WHOM = "See by which: ss -ltnup. Or take another port."

Consent = Callable[[App], None]
"""Raises `PaasError` unless whoever asks may also take visitors from that app."""


class PortUnusable(PaasError):
    """nginx cannot listen there, or not so."""


class NoSuchRedirect(NotFound):
    """The app does not redirect that."""


class ServerWide(PaasError):
    """The setting is the server's, not an app's."""


def check_stream_module() -> None:
    """Raise `PortUnusable` unless nginx can pass on what it does not understand."""
    if not STREAM_MODULE.exists():
        raise PortUnusable(
            "The installed nginx cannot pass on raw TCP and UDP",
            resolution="On the server: apt-get install libnginx-mod-stream",
        )


@dataclass(frozen=True)
class Edge:
    """Each method makes the change, then has the proxy follow. Each raises `PaasError`."""

    store: Store
    router: Router

    # -- domains ---------------------------------------------------------------------------

    def add_domains(
        self,
        app: App,
        routes: Sequence[Route],
        *,
        consent: Consent,
        actor: str,
        report: Report,
    ) -> None:
        """Serve an app at more names, all or none. Raises `DomainTaken`, which names the owner.

        `consent` is asked for each app that carries the host of a path, or that has paths of a
        host: its certificate and its visitors' cookies are there.
        """
        with self.store.transaction():
            self._add(app, self._new(app, routes, consent))
            self._note(actor, app, "domain added", routes)
        self.router.publish(report)

    def remove_domains(
        self, app: App, routes: Sequence[Route], *, actor: str, report: Report
    ) -> None:
        """No longer serve an app at some names, all or none; also not at one it has by itself."""
        with self.store.transaction():
            for route in routes:
                if route in self._implied(app):
                    self._set_default(app, on=False)
                else:
                    self.store.domains.remove(app.id, str(route))
            self._note(actor, app, "domain removed", routes)
        self.router.publish(report)

    def set_domains(
        self,
        app: App,
        routes: Sequence[Route],
        *,
        consent: Consent,
        actor: str,
        report: Report,
    ) -> None:
        """Serve an app at these names and no others; `consent` as of `add_domains`."""
        with self.store.transaction():
            self._new(app, routes, consent)
            self._set_default(app, on=False)
            self.store.domains.clear(app.id)
            self._add(app, routes)
            self._note(actor, app, "domains set", routes)
        self.router.publish(report)

    def reset_domains(self, app: App, *, actor: str, report: Report) -> None:
        """Serve an app at the names it has by itself, and no others."""
        with self.store.transaction():
            self.store.domains.clear(app.id)
            self._set_default(app, on=True)
            self._note(actor, app, "domains reset", ())
        self.router.publish(report)

    def set_server_domains(self, domains: Iterable[str], *, actor: str, report: Report) -> None:
        """Serve every app at `<app>.<domain>` for each of these."""
        text = DOMAIN.parse(",".join(map(parse_domain, domains)))
        with self.store.transaction():
            self.store.settings.set(None, DOMAIN.name, text or None)
            self.store.events.add(actor, "", "server domains set", text)
        self.router.publish(report)

    def _new(self, app: App, routes: Sequence[Route], consent: Consent) -> list[Route]:
        """Those that the app has not, of which it may have all.

        Raises `DomainTaken`, and what `consent` does.
        """
        served = set(self.router.served(app))
        found = [route for route in routes if route not in served]
        for route in found:
            self._may_have(app, route, consent)
        return found

    def _may_have(self, app: App, route: Route, consent: Consent) -> None:
        owner = self.router.owner(route)
        if owner is not None and owner.id != app.id:
            raise DomainTaken(str(route), owner.name)
        if route not in self._possible(app):
            # What an app is called below the server's own domain it has by being called so.
            for loser in self.router.losers(app, route):
                consent(loser)

    def _add(self, app: App, routes: Sequence[Route]) -> None:
        for route in routes:
            if route in self._possible(app):
                self._set_default(app, on=True)
            else:
                self.store.domains.add(app.id, str(route))

    def _possible(self, app: App) -> set[Route]:
        domains = server_domains(self.store.settings.value(DOMAIN))
        return {Route(f"{app.name}.{domain}") for domain in domains}

    def _implied(self, app: App) -> set[Route]:
        on = self.store.settings.value(DEFAULT_DOMAIN, app.id)
        return self._possible(app) - set(self._explicit(app)) if on else set()

    def _explicit(self, app: App) -> list[Route]:
        return [route for owner, route in self.store.domains.routes() if owner == app.id]

    def _set_default(self, app: App, *, on: bool) -> None:
        self.store.settings.set(app.id, DEFAULT_DOMAIN.name, None if on else "off")

    # -- redirects -------------------------------------------------------------------------

    def add_redirect(
        self, app: App, redirect: Redirect, *, consent: Consent, actor: str, report: Report
    ) -> None:
        """Have an app redirect a host, or a path of one that it has; `consent` as of domains."""
        host = redirect.source.host
        with self.store.transaction():
            if redirect.source.path and host not in self.router.domains(app):
                raise DomainNotFound(host)
            self._may_have(app, redirect.source, consent)
            self.store.domains.redirect(app.id, redirect)
            self._note(actor, app, "redirect added", (redirect.source, redirect.target))
        self.router.publish(report)

    def remove_redirect(self, app: App, source: Route, *, actor: str, report: Report) -> None:
        """No longer redirect it. Raises `NoSuchRedirect`."""
        with self.store.transaction():
            try:
                self.store.domains.remove(app.id, str(source), redirect=True)
            except DomainNotFound:
                raise NoSuchRedirect(f"App {app.name} does not redirect {source}") from None
            self._note(actor, app, "redirect removed", (source,))
        self.router.publish(report)

    # -- ports -----------------------------------------------------------------------------

    def add_ports(self, app: App, ports: Sequence[Port], *, actor: str, report: Report) -> None:
        """Lead ports of the server to an app, all or none. Raises `PortTaken`, `PortUnusable`."""
        with self.store.transaction():
            before = self.store.ports.list(app.id)
            self._add_ports(app, ports, before)
            self._note(actor, app, "ports added", ports)
            after = self.store.ports.list(app.id)
        self._follow_or_undo(app, before, after, report)

    def set_ports(self, app: App, ports: Sequence[Port], *, actor: str, report: Report) -> None:
        """Lead these ports to an app and no others; without any, none."""
        with self.store.transaction():
            before = self.store.ports.list(app.id)
            self.store.ports.clear(app.id)
            self._add_ports(app, ports, before)
            self._note(actor, app, "ports set", ports)
            after = self.store.ports.list(app.id)
        self._follow_or_undo(app, before, after, report)

    def remove_ports(self, app: App, ports: Sequence[Port], *, actor: str, report: Report) -> None:
        """No longer lead ports to an app, all or none. Raises `PortNotFound`."""
        with self.store.transaction():
            self.store.ports.remove(app.id, ports)
            self._note(actor, app, "ports removed", ports)
        self._follow(app, report)

    def _add_ports(self, app: App, ports: Sequence[Port], before: Sequence[Port]) -> None:
        held = set(map(Opening.of, before))
        for port in ports:
            self._check_port(port)
        self.store.ports.add(app.id, ports)
        # Behind the table, which knows the ports that nginx has for others. It may have one for
        # nobody, too, whose removal was killed.
        for port in ports:
            # Workers that end close a little later what was an app's a moment ago.
            reason = None if Opening.of(port) in held else self.router.refused(port, CLOSES_S)
            if reason is not None:
                raise PortUnusable(reason, resolution=SEE_BY_WHOM)
        main = {
            each.target
            for each in self.store.ports.list(app.id)
            if each.port in SHARED and not each.scheme.raw
        }
        if len(main) > 1:
            raise PortUnusable(
                f"Ports 80 and 443 of {app.name} would lead to different ports inside",
                resolution=f"Name one for both: ports:set {app.name} http:80:5000 https:443:5000",
            )

    def _check_port(self, port: Port) -> None:
        ours = {"http": 80, "https": 443}
        settings = self.store.settings
        shared = {settings.value(HTTP_PORT), settings.value(HTTPS_PORT), *SHARED}
        known = ours.get(port.scheme) == port.port or port.scheme is Scheme.UDP
        if port.port in shared and not known:
            raise PortUnusable(
                f"Port {port.port} is where all apps are told apart by name",
                resolution="gRPC is served there too, over HTTPS; or take another port.",
            )
        if port.scheme.raw:
            check_stream_module()
        name = self._exposed(port)
        if name:
            raise PortUnusable(f"Port {port.port} leads to {name}, which is exposed there")

    def _exposed(self, port: Port) -> str:
        """The service that a port leads to; empty for none."""
        for exposure in self.store.exposures.list():
            if exposure.port == port.port and port.scheme is not Scheme.UDP:
                service = self.store.services.by_id(exposure.service_id)
                return service.hostname if service is not None else "a service"
        return ""

    def _follow(self, app: App, report: Report) -> Applied:
        self.router.switch([app])
        applied = self.router.publish(report)
        self.router.forget_ports(app)
        return applied

    def _follow_or_undo(
        self, app: App, before: Sequence[Port], after: Sequence[Port], report: Report
    ) -> None:
        """Have the proxy open what was added, or lead the ports where they led before."""
        added = {Opening.of(each) for each in after} - set(map(Opening.of, before))
        try:
            closed = self._follow(app, report).closed
        except BaseException:
            # The proxy is as it was; what else it lacks the supervisor makes up for.
            self._undo(app, before, after)
            raise
        for each in closed:
            if each.app == app.name and each.opening in added:
                self._undo(app, before, after)
                self._follow(app, report)
                raise PortUnusable(each.reason, resolution=SEE_BY_WHOM)

    def _undo(self, app: App, before: Sequence[Port], after: Sequence[Port]) -> None:
        """Take a change back, and nothing that somebody else has changed since."""
        ports = self.store.ports
        with self.store.transaction():
            now = ports.list(app.id)
            ports.remove(app.id, [each for each in after if each in now and each not in before])
            for each in before if set(after) <= set(now) else ():
                # What a service was given meanwhile is the service's.
                if not self._exposed(each):
                    with suppress(PortTaken):
                        ports.add(app.id, [each])
            self._note("proxy", app, "ports taken back", ports.list(app.id))

    # -- maintenance and tuning ------------------------------------------------------------

    def maintenance(self, app: App, *, on: bool, actor: str, report: Report) -> None:
        """Show visitors a page instead of the app, or the app again; it runs on either way."""
        with self.store.transaction():
            self.store.settings.set(app.id, MAINTENANCE.name, "on" if on else None)
            self._note(actor, app, f"maintenance {'on' if on else 'off'}", ())
        self.router.publish(report)

    def set_page(self, app: App, page: str, *, actor: str, report: Report) -> None:
        """The page of maintenance; empty for ours again."""
        if len(page.encode()) > MAX_PAGE_BYTES:
            raise PaasError(f"The page is longer than {MAX_PAGE_BYTES // 1024} KiB")
        with self.store.transaction():
            self.store.settings.set(app.id, MAINTENANCE_PAGE.name, page or None)
            self._note(actor, app, "maintenance page set", ())
        self.router.publish(report)

    def tune(
        self, app: App | None, name: str, value: str | None, *, actor: str, report: Report
    ) -> None:
        """Set a setting of the proxy for an app or, without one, for all; None unsets it."""
        setting = self._setting(name)
        if app is not None and not setting.app:
            raise ServerWide(
                f"{name} is the server's own", resolution=f"proxy:set --global {name} VALUE"
            )
        text = None
        if value is not None:
            parsed = setting.parse(value)
            # Of texts what was understood: a password is not kept as it came.
            text = parsed if isinstance(parsed, str) else value
        with self.store.transaction():
            self.store.settings.set(app.id if app else None, name, text)
            self.store.events.add(actor, app.name if app else "", "proxy setting", shown(name))
        self.router.publish(report)

    def _setting(self, name: str) -> Setting[int] | Setting[str] | Setting[bool]:
        """The proxy's own setting of that name, else a plugin's. Raises `UnknownSetting`."""
        try:
            return proxy_setting(name)
        except UnknownSetting:
            for rule in self.router.rules():
                if rule.name == name:
                    return rule.setting()
            raise

    def _note(self, actor: str, app: App, what: str, detail: Iterable[object]) -> None:
        self.store.events.add(actor, app.name, what, " ".join(map(str, detail)))
