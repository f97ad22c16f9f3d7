"""Ports of the server that lead to services, for clients that are no app of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from paas.errors import PaasError
from paas.model.env import Secret
from paas.model.names import shown


class InvalidNetwork(PaasError):
    """Not an address, nor a network of addresses."""


class Tls(StrEnum):
    """Who speaks TLS on an exposed port; nothing else is spoken there then."""

    NOBODY = "nobody"
    PROXY = "proxy"
    SERVER = "server"
    """Its protocol begins without and asks for it (PostgreSQL, MySQL): no proxy could."""


@dataclass(frozen=True)
class Exposure:
    """A row of the service_exposures table. Without `allow` everybody may try."""

    service_id: int
    port: int
    allow: tuple[str, ...]
    tls: Tls

    def __str__(self) -> str:
        spoken = "without TLS" if self.tls is Tls.NOBODY else "TLS"
        return f"port {self.port} ({spoken}) for {', '.join(self.allow) or 'everybody'}"


@dataclass(frozen=True)
class ServerCertificate:
    """What a service shows from outside: a certificate and its key, in PEM."""

    fingerprint: str
    chain: str
    key: Secret


def parse_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Addresses and networks in one spelling, each once. Raises `InvalidNetwork`."""
    return tuple(dict.fromkeys(map(_network, texts)))


def _network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise InvalidNetwork(
            f"{shown(text)} is neither an address nor a network",
            resolution="Write it like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32.",
        ) from None
    return str(network.network_address if network.num_addresses == 1 else network)
