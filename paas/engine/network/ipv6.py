"""IPv6 of the instances: the way out, where the host has one and forwards it.

Beside its IPv4 address each has one of a private prefix (RFC 4193), translated at the host
as IPv4 is. Nobody opens connections to it: links, services and published ports are IPv4.
Linux forwards IPv6 by one switch for all interfaces, which is not ours to turn (it makes a
router of a server); since 6.17 there is one for each (`force_forwarding`, ip-sysctl.rst).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

from paas.engine.network.addresses import Plan

GATEWAY6 = IPv6Address("fe80::1")
"""The router, as every instance sees it; and the host, as the router does."""

ROUTER6 = IPv6Address("fe80::2")
"""The router, as the host sees it."""

LINK_PREFIX = 64
FORWARDING = Path("/proc/sys/net/ipv6/conf")
_ROUTES = Path("/proc/thread-self/net/ipv6_route")
_MACHINE = Path("/etc/machine-id")
_UP, _GATEWAY, _REJECT, _LOCAL = 0x1, 0x2, 0x200, 0x80000000


@dataclass(frozen=True)
class Plan6:
    """The addresses of one PaaS: those of IPv4's plan, in a prefix of IPv6."""

    prefix: IPv6Network

    @property
    def host(self) -> IPv6Interface:
        """The host's end of the link."""
        return IPv6Interface(f"{self.prefix[1]}/126")

    @property
    def router(self) -> IPv6Interface:
        return IPv6Interface(f"{self.prefix[2]}/126")

    def address(self, number: int) -> IPv6Address:
        """The instance whose IPv4 address has that number in its prefix."""
        return self.prefix[number]


def plan_of(plan: Plan, instance: str, machine: Path = _MACHINE) -> Plan6:
    """A /64 that no other network has, as far as chance goes (RFC 4193, 3.2.2)."""
    seed = b""
    with suppress(FileNotFoundError):
        seed = machine.read_bytes()
    digest = hashlib.sha256(seed + f"{instance} {plan.prefix}".encode()).digest()
    return Plan6(IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64)))


@dataclass(frozen=True)
class Route6:
    """A line of /proc/net/ipv6_route."""

    target: IPv6Network
    interface: str
    metric: int
    flags: int


@dataclass(frozen=True)
class Uplink6:
    """How the host reaches IPv6: by which interface, and what is its own or its LAN's."""

    interface: str
    local: tuple[IPv6Network, ...]


def uplink6(link: str, conf: Path = FORWARDING, routes: Path = _ROUTES) -> Uplink6 | None:
    """The host's, in whose namespace this thread is; None where instances can have none.

    `link` is our own interface on the host.
    """
    with suppress(FileNotFoundError):
        found = parse_routes(routes.read_text())
        defaults = [
            route
            for route in found
            if not route.target.prefixlen
            and route.flags & (_UP | _GATEWAY | _REJECT) == _UP | _GATEWAY
        ]
        if defaults:
            uplink = min(defaults, key=lambda route: route.metric).interface
            if can_forward(uplink, conf):
                return Uplink6(uplink, _local(found, link))
    return None


def can_forward(uplink: str, conf: Path = FORWARDING) -> bool:
    """Whether the host forwards already, or can be told to between two interfaces alone."""
    if (conf / uplink / "force_forwarding").exists():
        return True
    try:
        return (conf / "all/forwarding").read_text().strip() == "1"
    except FileNotFoundError:
        return False


def parse_routes(text: str) -> list[Route6]:
    """The lines of /proc/net/ipv6_route, whose numbers are all hexadecimal."""
    found = []
    for line in text.splitlines():
        target, length, _, _, _, metric, _, _, flags, interface = line.split()
        network = IPv6Network((int(target, 16), int(length, 16)), strict=False)
        found.append(Route6(network, interface, int(metric, 16), int(flags, 16)))
    return found


def _local(routes: list[Route6], link: str) -> tuple[IPv6Network, ...]:
    """Addresses of the host, and networks that it is in."""
    return tuple(
        route.target
        for route in routes
        if route.target.prefixlen
        and route.interface != link
        and (route.flags & _LOCAL or not route.flags & (_GATEWAY | _REJECT))
    )
