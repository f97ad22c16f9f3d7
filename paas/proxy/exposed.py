"""A port of the server that leads to a service: bytes are passed on, TLS may end here."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network

from paas.proxy.options import InvalidSite
from paas.proxy.site import Tls

PREFIX = "service:"
"""Keeps the names of services apart from those of apps, which have no colon."""


@dataclass(frozen=True)
class Exposed:
    """One exposed service. With `tls` connections are decrypted here; a server that speaks
    TLS itself is passed what arrives.
    """

    name: str
    port: int
    address: str
    """Where the service is found; it takes every port there."""
    allow: tuple[str, ...] = ()
    tls: Tls | None = None

    domains: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    served: bool = True

    def __post_init__(self) -> None:
        """Raises `InvalidSite`: nothing here may mean something to nginx."""
        try:
            IPv4Address(self.address)
            for network in self.allow:
                ip_network(network)
        except ValueError as error:
            raise InvalidSite(f"The exposed service {self.name} has {error}") from error
        if not self.name.replace("-", "").isalnum() or not 1 <= self.port <= 65535:
            raise InvalidSite(f"{self.name!r} cannot be exposed on port {self.port}")

    @property
    def app(self) -> str:
        """The name of its files among those of apps."""
        return f"{PREFIX}{self.name}"
