"""What the proxy serves, as values: one `Site` per app.

A site cannot be made from text that would mean something to nginx: names and addresses
are parsed here, so the templates only ever see harmless words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path

from paas.model.names import parse_app_name, parse_domain
from paas.model.port import Port
from paas.model.route import Redirect, Route, parse_code, parse_route, parse_target
from paas.proxy.options import InvalidSite, SiteOptions

__all__ = ["InvalidSite", "Listener", "Site", "SiteOptions", "SiteState", "Tls"]


class SiteState(StrEnum):
    """What a request to the app's domains meets."""

    LIVE = "live"
    """Its instances, through the slots."""
    EMPTY = "empty"
    """A page: nothing has been deployed yet."""
    STOPPED = "stopped"
    """A page: the operator has stopped the app."""
    MAINTENANCE = "maintenance"
    """A page: back soon."""


@dataclass(frozen=True)
class Tls:
    """The domains of a site that are served with one certificate, and its files."""

    domains: tuple[str, ...]
    chain: Path
    key: Path
    at_start: bool = True
    """Whether nginx reads the files when it starts. Else the worker that shakes hands takes the
    pair from a table: dearer for each full handshake, and nothing for a reload."""
    stapled: bool = False
    """Whether the issuer's word on it is had from its OCSP responder. Read at the start alone."""


@dataclass(frozen=True)
class Listener:
    """A port of the server beside 80 and 443; its slots lead to the port inside."""

    port: Port
    slots: tuple[str, ...]

    @property
    def upstream(self) -> str:
        """The end of its upstream's name."""
        return f"{self.port.scheme}-{self.port.port}"


@dataclass(frozen=True)
class Site:
    """One app as the proxy sees it.

    `slots` are the addresses of its web process type; each answers on port 80, wherever
    the instance behind it listens (DESIGN.md, "Zero-downtime switching").
    """

    app: str
    domains: tuple[str, ...]
    """The hosts whose server blocks are this app's, those that redirect included."""
    slots: tuple[str, ...]
    state: SiteState = SiteState.LIVE
    options: SiteOptions = field(default_factory=SiteOptions)
    tls: tuple[Tls, ...] = ()
    """Certificates, each with its part of `domains`: SNI chooses (RFC 6066, section 3)."""
    mounts: tuple[Route, ...] = ()
    """What it serves below a path, of hosts that may be another app's."""
    shared: tuple[str, ...] = ()
    """Those of `domains` below which somebody has a mount."""
    bare: tuple[str, ...] = ()
    """Those of `domains` that it has for their mounts alone."""
    redirects: tuple[Redirect, ...] = ()
    listeners: tuple[Listener, ...] = ()
    page: str = ""
    """The app's own page for maintenance; empty for ours."""

    def __post_init__(self) -> None:
        """Raises `InvalidName` or `InvalidSite`."""
        parse_app_name(self.app)
        # In their one spelling, or two apps could own the same domain.
        object.__setattr__(self, "domains", tuple(map(parse_domain, self.domains)))
        self._check_routes()
        for slot in (*self.slots, *(slot for each in self.listeners for slot in each.slots)):
            try:
                IPv4Address(slot)
            except ValueError as error:
                raise InvalidSite(f"The slot {slot!r} of {self.app} is no IPv4 address") from error
        if self.state is SiteState.LIVE and not self.slots:
            raise InvalidSite(f"The site of {self.app} is live and has no slots")
        secure = self.secure_domains
        if len(set(secure)) != len(secure) or not set(secure) <= set(self.domains):
            raise InvalidSite(f"The certificates of {self.app} are not for its own domains, once")

    def _check_routes(self) -> None:
        for mount in self.mounts:
            if parse_route(str(mount)) != mount or not mount.path:
                raise InvalidSite(f"{self.app} has a mount without a path")
        for each in self.redirects:
            parse_code(str(each.code))
            if parse_route(str(each.source)) != each.source:
                raise InvalidSite(f"{self.app} redirects what is no route")
            if parse_target(each.target) != each.target:
                raise InvalidSite(f"{self.app} redirects to what is no URL")

    @property
    def served(self) -> bool:
        """Whether there is anything to ask it for."""
        return bool(self.domains or self.mounts or self.listeners)

    @property
    def secure_domains(self) -> tuple[str, ...]:
        """The domains that are served over HTTPS."""
        return tuple(name for each in self.tls for name in each.domains)

    @property
    def redirected_domains(self) -> tuple[str, ...]:
        """The domains whose plain HTTP leads to HTTPS."""
        return self.secure_domains if self.options.https_redirect else ()

    @property
    def plain_domains(self) -> tuple[str, ...]:
        """The domains that are served over plain HTTP."""
        return tuple(name for name in self.domains if name not in self.redirected_domains)

    @property
    def identity(self) -> str:
        """Where requests come from and go to.

        An older text of the site may stand in for a broken newer one only while this is
        the same: otherwise it could claim a domain that is another app's by now.
        """
        names = ",".join((*self.domains, *map(str, self.mounts)))
        ports = ",".join(f"{each.port}" for each in self.listeners)
        return f"{self.state} {names} {','.join(map(str, self.slots))} {ports}".rstrip()
