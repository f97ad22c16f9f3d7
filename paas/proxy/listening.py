"""Where nginx listens, as values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from paas.errors import PaasError


class InvalidAddress(PaasError):
    """Nothing can listen there."""


@dataclass(frozen=True)
class Listening:
    """One address, or all of IPv4 and IPv6 when it is empty, and a port for each scheme."""

    address: str = ""
    http_port: int = 80
    https_port: int = 443
    trusted: tuple[str, ...] = ()
    """Networks of load balancers in front."""
    proxy_protocol: bool = False
    unknown_page: bool = False
    """Whether a host that no app has gets a page instead of a closed connection."""
    http3: bool = False
    resolvers: tuple[str, ...] = ()
    """IPv4 addresses of the DNS servers of this host."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """What to listen on, without a port. Raises `InvalidAddress`."""
        return tuple(place.rpartition(":")[0] for place in self.http)

    @property
    def http(self) -> tuple[str, ...]:
        """`address:port` for plain HTTP. Raises `InvalidAddress`."""
        return listen_addresses(self.address, self.http_port)

    @property
    def https(self) -> tuple[str, ...]:
        """`address:port` for HTTPS. Raises `InvalidAddress`."""
        return listen_addresses(self.address, self.https_port)


def listen_addresses(address: str, port: int, *, ipv6: bool | None = None) -> tuple[str, ...]:
    """nginx's `listen` values. `ipv6` says whether this machine has it; None asks it.

    Raises `InvalidAddress` when `address` is neither empty nor an IP address.
    """
    if address:
        try:
            version = ip_address(address).version
        except ValueError as error:
            raise InvalidAddress(
                f"nginx cannot listen on {address!r}: not an IP address"
            ) from error
        return (f"[{address}]:{port}" if version == 6 else f"{address}:{port}",)
    if ipv6 is None:
        ipv6 = Path("/proc/net/if_inet6").exists()
    return (f"0.0.0.0:{port}", f"[::]:{port}") if ipv6 else (f"0.0.0.0:{port}",)
