"""What may talk to what, as nft(8) text: pure functions, applied by `router` and `hostside`.

Two tables. The router's carries everything about instances and cannot be reached by what
other software does on the host. The host's translates egress, and repeats what the router
already refuses as far as it concerns the host itself, whose addresses the host knows best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import Any

from paas.engine.network.addresses import (
    GATEWAY,
    POOL,
    Backend,
    Plan,
    ServiceAddresses,
    slot_targets,
)

TABLE = "paas"
HOST_LINK = "host"
"""The router's interface towards the host."""

SPREAD = 32
"""Places a virtual address is spread over, so that few backends get even shares."""

HAIRPIN = 0x100
"""Packet mark: an instance reached itself through a service. Above all places of SPREAD."""

METADATA = IPv4Network("169.254.0.0/16")
NOT_INTERNET = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    )
)
"""What egress does not include (RFC 6890): private, shared, local, benchmarks, multicast."""

Services = Mapping[ServiceAddresses, tuple[Backend, ...]]


@dataclass(frozen=True)
class Target:
    """An address outside that instances may reach although it is not on the internet.

    `port` 0 means every port.
    """

    network: IPv4Network
    port: int = 0


@dataclass(frozen=True)
class Lead:
    """A port of the host (of all its addresses for 0.0.0.0) that leads to a container's."""

    protocol: str
    address: IPv4Address
    port: int
    container: IPv4Address
    target: int


@dataclass(frozen=True)
class Surroundings:
    """What the policy has to know of the host."""

    local: tuple[IPv4Network, ...] = ()
    """The host's addresses and connected networks."""
    upstreams: tuple[IPv4Address, ...] = ()
    """The resolvers that ours asks."""
    allowed: tuple[Target, ...] = ()
    """Configured mirrors and proxies that are given by address."""
    published: tuple[Lead, ...] = ()
    """Ports of the host that lead to containers."""


@dataclass(frozen=True)
class RouterState:
    """All that the router's table holds, so that one transaction can write it anew."""

    plan: Plan
    surroundings: Surroundings = field(default_factory=Surroundings)
    services: Services = field(default_factory=dict)
    links: frozenset[tuple[IPv4Address, IPv4Address]] = frozenset()


def router_table(state: RouterState) -> str:
    """The router's table, from whatever was there: one transaction, no packet sees a gap.

    Two sets keep their elements. The resolver fills `mirrors` as names are asked for, and
    would not do so again for what is in its cache. The kernel fills `datagrams` with the
    service addresses that UDP was ever sent to: looking for flows costs a walk over all
    connections, which most services never need.
    """
    plan, around = state.plan, state.surroundings
    denied = collapse_addresses((*NOT_INTERNET, *around.local))
    declared = _DECLARATIONS.format(table=TABLE)
    sets = ("denied", "upstreams", "allowed", "allowed_ports", "links", "vips", "published")
    lines = [
        declared,
        f"flush table ip {TABLE}",
        *(f"flush set ip {TABLE} {name}" for name in sets),
        *(f"flush map ip {TABLE} {name}" for name in ("slots", "spread")),
        _CHAINS.format(
            table=TABLE,
            host=HOST_LINK,
            host_address=plan.host,
            prefix=plan.prefix,
            services=plan.services,
            resolver=plan.resolver,
            gateway=GATEWAY,
            metadata=METADATA,
            hairpin=HAIRPIN,
            spread=SPREAD,
        ),
        *_elements("denied", map(str, denied)),
        *_elements("upstreams", map(str, around.upstreams)),
        *_elements("allowed", _whole(around.allowed)),
        *_elements("allowed_ports", _single_ports(around.allowed)),
        *_elements("links", (f"{source} . {target}" for source, target in sorted(state.links))),
    ]
    lines += _elements(
        "published",
        sorted(
            {f"{each.container} . {each.protocol} . {each.target}" for each in around.published}
        ),
    )
    for addresses, backends in state.services.items():
        lines += _service_elements("add", addresses, backends)
    return "\n".join(lines) + "\n"


def service_change(before: Services, after: Services) -> str:
    """Lead the services of `after` elsewhere, `before` being where they lead now."""
    lines: list[str] = []
    for addresses, backends in before.items():
        lines += _service_elements("delete", addresses, backends)
    for addresses, backends in after.items():
        lines += _service_elements("add", addresses, backends)
    return "\n".join(lines) + "\n"


def link_elements(links: Iterable[tuple[IPv4Address, IPv4Address]]) -> str:
    """Allow exactly these pairs: who opens a connection, and to whom."""
    pairs = (f"{source} . {target}" for source, target in sorted(links))
    return "\n".join([f"flush set ip {TABLE} links", *_elements("links", pairs)]) + "\n"


def backend_addresses(services: Services) -> set[IPv4Address]:
    """Every container that services lead to."""
    return {backend.address for backends in services.values() for backend in backends}


def datagram_services(listing: Iterable[Mapping[str, Any]]) -> set[IPv4Address]:
    """The elements of the set `datagrams`, from the answer to a `list set` of it."""
    return {
        IPv4Address(element)
        for item in listing
        if "set" in item
        for element in item["set"].get("elem", ())
    }


def host_table(instance: str, interface: str, plan: Plan, around: Surroundings) -> str:
    """The host's table: egress translated, and what comes in through our link kept out.

    The two guards never accept anything: they only drop what is ours to drop, so no rule
    of other software is overridden. `guard` refuses instances the host's own services;
    `private` refuses everyone the host forwards for (its LAN, docker's containers) ours.
    """
    passes = [
        f"ip saddr {plan.router} ip daddr {server} meta l4proto {{ tcp, udp }} th dport 53"
        for server in around.upstreams
    ]
    for target in around.allowed:
        port = f" meta l4proto {{ tcp, udp }} th dport {target.port}" if target.port else ""
        passes.append(f"ip daddr {target.network}{port}")
    return _HOST.format(
        table=host_table_name(instance),
        interface=interface,
        prefix=plan.prefix,
        pool=", ".join(map(str, POOL)),
        published=_published(interface, plan, around.published),
        passes="\n".join(f'    iifname "{interface}" {match} accept' for match in passes),
        # A mirror may live where another PaaS could: it is outside all the same.
        outside="\n".join(
            f'    iifname "{interface}" ip saddr {plan.prefix} ip daddr {network} masquerade'
            for network in collapse_addresses(target.network for target in around.allowed)
        ),
    )


def _published(interface: str, plan: Plan, leads: Iterable[Lead]) -> dict[str, str]:
    """What published ports add to the host's chains; nothing without any."""
    rules = [
        f"    fib daddr type local{_bound(each)} meta l4proto {each.protocol}"
        f" th dport {each.port} dnat to {each.container}:{each.target}"
        for each in leads
    ]
    if not rules:
        return {"chains": "", "leave": "", "forward": ""}
    lines = "\n".join(rules)
    return {
        "chains": f"""  chain published {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname "{interface}" accept
{lines}
  }}
  chain published_here {{
    type nat hook output priority -100; policy accept;
{lines}
  }}""",
        # The host's own loopback means nothing to the router.
        "leave": f'    oifname "{interface}" ip saddr 127.0.0.0/8 snat to {plan.host}',
        "forward": f'    oifname "{interface}" ct state new ct status dnat accept',
    }


def _bound(lead: Lead) -> str:
    return "" if lead.address.is_unspecified else f" ip daddr {lead.address}"


def host_table_name(instance: str) -> str:
    """The name of the host's table; the family is `ip`."""
    return f"paas_{instance}"


def _service_elements(
    verb: str, addresses: ServiceAddresses, backends: tuple[Backend, ...]
) -> list[str]:
    if not backends:
        return []
    place = _key if verb == "delete" else _entry
    slots = (place(str(slot), target) for slot, target in slot_targets(addresses, backends))
    spread = (
        place(f"{addresses.vip} . {number:#x}", backends[number % len(backends)])
        for number in range(SPREAD)
    )
    return [
        *_elements("slots", slots, verb=verb),
        *_elements("spread", spread, verb=verb),
        *_elements("vips", [str(addresses.vip)], verb=verb),
    ]


def _key(key: str, backend: Backend) -> str:  # noqa: ARG001 (the same shape as `_entry`)
    return key


def _entry(key: str, backend: Backend) -> str:
    return f"{key} : {backend.address} . {backend.port}"


def _whole(targets: Iterable[Target]) -> list[str]:
    return [
        str(network) for network in collapse_addresses(t.network for t in targets if not t.port)
    ]


def _single_ports(targets: Iterable[Target]) -> list[str]:
    # Collapsed per port: an interval set refuses elements that overlap.
    by_port: dict[int, list[IPv4Network]] = {}
    for target in targets:
        if target.port:
            by_port.setdefault(target.port, []).append(target.network)
    return [
        f"{network} . {port}"
        for port, networks in sorted(by_port.items())
        for network in collapse_addresses(networks)
    ]


def _elements(name: str, elements: Iterable[str], verb: str = "add") -> list[str]:
    listed = ", ".join(elements)
    return [f"{verb} element ip {TABLE} {name} {{ {listed} }}"] if listed else []


_DECLARATIONS = """\
table ip {table} {{
  set denied {{ type ipv4_addr; flags interval; }}
  set upstreams {{ type ipv4_addr; }}
  set allowed {{ type ipv4_addr; flags interval; }}
  set allowed_ports {{ type ipv4_addr . inet_service; flags interval; }}
  set mirrors {{ type ipv4_addr; size 4096; }}
  set links {{ type ipv4_addr . ipv4_addr; }}
  set vips {{ type ipv4_addr; }}
  set published {{ type ipv4_addr . inet_proto . inet_service; }}
  set datagrams {{ type ipv4_addr; flags dynamic; size 65536; }}
  map slots {{ type ipv4_addr : ipv4_addr . inet_service; }}
  map spread {{ type ipv4_addr . mark : ipv4_addr . inet_service; }}
}}"""

# `refused` answers at once, so that neither an app nor nginx waits for a timeout. It is
# also what an empty service and a removed instance give: only the route that covers the
# prefix leads to them, to `lo`, where nothing goes. The route of each packet is looked up
# anyway; to ask for it here took two look-ups more of every packet of a connection.
_CHAINS = """\
table ip {table} {{
  chain refused {{
    meta l4proto tcp counter reject with tcp reset
    counter reject with icmp type admin-prohibited
  }}
  chain genuine {{
    type filter hook prerouting priority raw; policy accept;
    iifname {{ "lo" }} accept
    iifname "{host}" ip saddr {prefix} ip saddr != {host_address} counter drop
    iifname != "{host}" fib saddr . iif oif missing counter drop
  }}
  chain translate {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {services} meta l4proto udp add @datagrams {{ ip daddr }}
    ip daddr @vips meta mark set numgen random mod {spread}
    meta l4proto {{ tcp, udp }} dnat ip addr . port to ip daddr map @slots
    meta l4proto {{ tcp, udp }} dnat ip addr . port to ip daddr . meta mark map @spread
  }}
  chain arrived {{
    type filter hook prerouting priority dstnat + 10; policy accept;
    ct state new ct status dnat fib daddr . iif oif exists meta mark set {hairpin:#x}
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    oif "lo" jump refused
    ct state established,related accept
    ct state invalid counter drop
    iifname "{host}" ip saddr {host_address} oifname != "{host}" accept
    iifname "{host}" ip daddr . meta l4proto . th dport @published accept
    iifname "{host}" counter drop
    meta mark {hairpin:#x} accept
    oifname != "{host}" ip saddr . ip daddr @links accept
    ip daddr {{ {metadata}, {prefix} }} jump refused
    ip daddr @allowed accept
    meta l4proto {{ tcp, udp }} ip daddr . th dport @allowed_ports accept
    meta l4proto tcp ip daddr @mirrors accept
    ip daddr @denied jump refused
    accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    ip daddr {resolver} meta l4proto {{ tcp, udp }} th dport 53 accept
    icmp type echo-request limit rate 50/second accept
    jump refused
  }}
  chain output {{
    type filter hook output priority filter; policy drop;
    ct state established,related accept
    oifname "lo" accept
    ip daddr @upstreams meta l4proto {{ tcp, udp }} th dport 53 accept
    icmp type {{ destination-unreachable, time-exceeded }} accept
    tcp flags rst accept
  }}
  chain leave {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark {hairpin:#x} snat to {gateway}
  }}
}}"""

_HOST = """\
add table ip {table}
delete table ip {table}
table ip {table} {{
  chain translate {{
    type nat hook postrouting priority srcnat; policy accept;
{published[leave]}
{outside}
    iifname "{interface}" ip saddr {prefix} ip daddr != {{ {pool} }} masquerade
  }}
  chain guard {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{interface}" ct state established,related accept
{passes}
    iifname "{interface}" counter drop
  }}
{published[chains]}
  chain private {{
    type filter hook forward priority filter - 10; policy accept;
{published[forward]}
    oifname "{interface}" ct state new counter drop
  }}
}}
"""
