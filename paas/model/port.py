"""Port mappings: which port of the server leads to which port inside an app's `web`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from paas.errors import PaasError
from paas.model.names import shown


class InvalidPort(PaasError):
    """Not a port mapping."""


class Scheme(StrEnum):
    """What is spoken on a port."""

    HTTP = "http"
    HTTPS = "https"
    """With the app's certificates."""
    GRPC = "grpc"
    """HTTP/2 without TLS, on both sides of the proxy."""
    GRPCS = "grpcs"
    """HTTP/2 with the app's certificates; without TLS to the app."""
    TCP = "tcp"
    UDP = "udp"

    @property
    def raw(self) -> bool:
        """Bytes or datagrams are passed on as they are."""
        return self in (Scheme.TCP, Scheme.UDP)

    @property
    def secure(self) -> bool:
        """TLS ends at the proxy."""
        return self in (Scheme.HTTPS, Scheme.GRPCS)

    @property
    def grpc(self) -> bool:
        """HTTP/2 is spoken to the app."""
        return self in (Scheme.GRPC, Scheme.GRPCS)

    @property
    def transport(self) -> str:
        """`tcp` or `udp`: of each, a port of the server can be had once."""
        return "udp" if self is Scheme.UDP else "tcp"


@dataclass(frozen=True, order=True)
class Port:
    """`scheme:port:target`, as in Dokku: a port of the server and one of the instances."""

    scheme: Scheme
    port: int
    target: int

    def __str__(self) -> str:
        return f"{self.scheme}:{self.port}:{self.target}"


def parse_port(text: str) -> Port:
    """`http:8080:5000`, or `tcp:5432` where both ports are the same. Raises `InvalidPort`."""
    match = re.fullmatch(r"([a-z]+):([0-9]{1,5})(?::([0-9]{1,5}))?", text)
    if match is None or match[1] not in set(Scheme):
        raise InvalidPort(
            f"{shown(text)} is not of the form SCHEME:PORT:APP-PORT",
            resolution=f"Write it like http:8080:5000; schemes: {', '.join(Scheme)}.",
        )
    port = Port(Scheme(match[1]), int(match[2]), int(match[3] or match[2]))
    if not (1 <= port.port <= 65535 and 1 <= port.target <= 65535):
        raise InvalidPort(f"{shown(text)} names a port that is not from 1 to 65535")
    return port
