"""Which address is for what: pure arithmetic on the /16 of one PaaS.

.0.0/24      the link to the host (.1 the host, .2 the router), .53 the resolver
.1.0 - .127.255    instances, each a /32 behind a veth of its own
.128.0 - .255.255  services: the virtual address and the slots of a process type
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from paas.errors import PaasError

POOL = (IPv4Network("10.200.0.0/13"), IPv4Network("10.208.0.0/12"))
"""All candidates: what is addressed to another PaaS on this host."""

CANDIDATES = tuple(network for part in POOL for network in part.subnets(new_prefix=16))

GATEWAY = IPv4Address("169.254.0.1")
"""The router, as every instance sees it; the same on each veth, so it is no lease."""

SLOTS = 8

FIRST_INSTANCE, FIRST_SERVICE, END = 0x100, 0x8000, 0x10000


class PrefixesTaken(PaasError):
    """Every network that instances could live in is in use on this host."""

    def __init__(self) -> None:
        super().__init__(
            f"All networks from {CANDIDATES[0]} to {CANDIDATES[-1]} are in use on this host",
            resolution="Free one of them: `ip route` shows who uses which.",
        )


class PoolExhausted(PaasError):
    """No address is left."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"No address is left for another {what}",
            resolution="Scale something down, or destroy apps that are not used.",
        )


@dataclass(frozen=True)
class Backend:
    """One instance that a service leads to. `port` is what it listens on."""

    address: IPv4Address
    port: int


@dataclass(frozen=True)
class ServiceAddresses:
    """The addresses of a service, which never change while it exists.

    `vip` leads to any backend; slot k always to backend k modulo their number.
    """

    vip: IPv4Address
    slots: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Plan:
    """The addresses of one PaaS."""

    prefix: IPv4Network

    @property
    def host(self) -> IPv4Address:
        """The host's end of the link: what nginx and health checks come from."""
        return self.prefix[1]

    @property
    def router(self) -> IPv4Address:
        return self.prefix[2]

    @property
    def resolver(self) -> IPv4Address:
        return self.prefix[53]

    @property
    def host_interface(self) -> IPv4Interface:
        return IPv4Interface(f"{self.host}/30")

    @property
    def router_interface(self) -> IPv4Interface:
        return IPv4Interface(f"{self.router}/30")

    @property
    def services(self) -> IPv4Network:
        """The half of the prefix that stable addresses are from."""
        return IPv4Network(f"{self.prefix[FIRST_SERVICE]}/17")

    def services_after(self, cursor: int) -> Iterator[IPv4Address]:
        """Every service address once, beginning behind number `cursor`."""
        start = cursor + 1 if FIRST_SERVICE <= cursor + 1 < END else FIRST_SERVICE
        for number in (*range(start, END), *range(FIRST_SERVICE, start)):
            yield self.prefix[number]

    def number(self, address: IPv4Address) -> int:
        """The place of an address in the prefix; `cursor` of the iterator."""
        return int(address) - int(self.prefix.network_address)

    def interface_of(self, address: IPv4Address) -> str:
        """The name, in the router, of the veth to the instance with `address`."""
        return f"i{self.number(address):04x}"


def choose_prefix(taken: Iterable[IPv4Network], instance: str) -> IPv4Network:
    """A candidate that overlaps nothing in `taken`; `instance` decides where to begin.

    Two PaaS that do not see each other's routes (one is stopped) then still tend to
    choose differently. Raises `PrefixesTaken`.
    """
    networks = [network for network in taken if network.prefixlen]
    first = 0 if instance == "paas" else zlib.crc32(instance.encode()) % len(CANDIDATES)
    for candidate in (*CANDIDATES[first:], *CANDIDATES[:first]):
        if not any(candidate.overlaps(network) for network in networks):
            return candidate
    raise PrefixesTaken


def slot_targets(
    addresses: ServiceAddresses, backends: Iterable[Backend]
) -> list[tuple[IPv4Address, Backend]]:
    """Which backend each slot leads to: slot k to backend k modulo their number."""
    live = tuple(backends)
    if not live:
        return []
    return [(slot, live[number % len(live)]) for number, slot in enumerate(addresses.slots)]
