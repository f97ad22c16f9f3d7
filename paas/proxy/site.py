"""What the proxy serves, as values: one `Site` per app.

A site cannot be made from text that would mean something to nginx: names and addresses
are parsed here, so the templates only ever see harmless words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path

from paas.errors import PaasError
from paas.model.names import parse_app_name, parse_domain


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


class InvalidSite(PaasError):
    """A site that nginx could not serve."""


@dataclass(frozen=True)
class SiteOptions:
    """What can be tuned per app. Sizes in bytes, times in seconds."""

    max_body_bytes: int = 100 * 1024 * 1024
    """0 is no limit. nginx's own default of 1 MB is everybody's first 413."""
    read_timeout_s: int = 60
    https_redirect: bool = True
    """Domains that have a certificate answer on plain HTTP with a redirect alone."""
    hsts_s: int = 0
    """How long clients are to insist on HTTPS for this very name (RFC 6797); 0 says nothing."""
    extra: str = ""
    """nginx directives for the server block, written by the server's operator."""

    def __post_init__(self) -> None:
        if self.max_body_bytes < 0 or self.read_timeout_s < 1:
            raise InvalidSite("A body limit is 0 or more, a read timeout 1 second or more")
        if self.hsts_s < 0:
            raise InvalidSite("The time of HSTS is 0 seconds or more")


@dataclass(frozen=True)
class Tls:
    """The domains of a site that are served with one certificate, and its files."""

    domains: tuple[str, ...]
    chain: Path
    key: Path


@dataclass(frozen=True)
class Site:
    """One app as the proxy sees it.

    `slots` are the addresses of its web process type; each answers on port 80, wherever
    the instance behind it listens (DESIGN.md, "Zero-downtime switching").
    """

    app: str
    domains: tuple[str, ...]
    slots: tuple[str, ...]
    state: SiteState = SiteState.LIVE
    options: SiteOptions = field(default_factory=SiteOptions)
    tls: tuple[Tls, ...] = ()
    """Certificates, each with its part of `domains`: SNI chooses (RFC 6066, section 3)."""

    def __post_init__(self) -> None:
        """Raises `InvalidName` or `InvalidSite`."""
        parse_app_name(self.app)
        # In their one spelling, or two apps could own the same domain.
        object.__setattr__(self, "domains", tuple(map(parse_domain, self.domains)))
        for slot in self.slots:
            try:
                IPv4Address(slot)
            except ValueError as error:
                raise InvalidSite(f"The slot {slot!r} of {self.app} is no IPv4 address") from error
        if self.state is SiteState.LIVE and not self.slots:
            raise InvalidSite(f"The site of {self.app} is live and has no slots")
        secure = self.secure_domains
        if len(set(secure)) != len(secure) or not set(secure) <= set(self.domains):
            raise InvalidSite(f"The certificates of {self.app} are not for its own domains, once")

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
        return f"{self.state} {','.join(self.domains)} {','.join(map(str, self.slots))}"
