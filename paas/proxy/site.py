"""What the proxy serves, as values: one `Site` per app.

A site cannot be made from text that would mean something to nginx: names and addresses
are parsed here, so the templates only ever see harmless words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

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
    extra: str = ""
    """nginx directives for the server block, written by the server's operator."""

    def __post_init__(self) -> None:
        if self.max_body_bytes < 0 or self.read_timeout_s < 1:
            raise InvalidSite("A body limit is 0 or more, a read timeout 1 second or more")


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

    @property
    def identity(self) -> str:
        """Where requests come from and go to.

        An older text of the site may stand in for a broken newer one only while this is
        the same: otherwise it could claim a domain that is another app's by now.
        """
        return f"{self.state} {','.join(self.domains)} {','.join(map(str, self.slots))}"
