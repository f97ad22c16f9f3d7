"""What on this host keeps instances from the internet: for `paas doctor`, with the remedy.

Only egress crosses the host's own rules. They are judged by following a packet and its
answer through every forward chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from paas.engine.network.ruleset import Chain, Packet, Ruleset, follow, index


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, in one sentence, and what to type against it."""

    problem: str
    remedy: str


def egress(interface: str, uplink: str, instance: IPv4Address) -> tuple[Packet, Packet]:
    """An instance's first packet to the internet, and the answer after translation."""
    outside = IPv4Address("192.0.43.8")
    return (
        Packet(interface, uplink, instance, outside, "new", {("tcp", "dport"): 443}),
        Packet(uplink, interface, outside, instance, "established", {("tcp", "sport"): 443}),
    )


def blocking_chains(ruleset: Ruleset, packets: Iterable[Packet], own: str) -> list[Finding]:
    """The forward chains, but for those of table `own`, that drop one of `packets`."""
    chains, rules = index(ruleset)
    found: dict[Chain, Finding] = {}
    for packet in packets:
        for name, chain in chains.items():
            if chain.get("hook") != "forward" or name[1] == own or name in found:
                continue
            # A match that cannot be read here is nearly always iptables' conntrack match,
            # which lets answers through.
            verdict = follow(rules, name, packet, assume=packet.state == "established")
            if (verdict or chain.get("policy", "accept")) == "drop":
                found[name] = _finding(name, chains, packet)
    return list(found.values())


def _finding(chain: Chain, chains: Mapping[Chain, Any], packet: Packet) -> Finding:
    family, table, name = chain
    answers = packet.state == "established"
    what = "the answers from the internet to instances" if answers else "what instances send"
    link = packet.outgoing if answers else packet.incoming
    names = {other for _, other_table, other in chains if other_table == table}
    return Finding(
        f"The chain {name} of the firewall table {family} {table} drops {what}",
        _remedy(chain, names, link),
    )


def _remedy(chain: Chain, names: set[str], link: str) -> str:
    family, table, name = chain
    if table == "firewalld":
        return (
            f"firewall-cmd --permanent --zone=trusted --add-interface={link}"
            " && firewall-cmd --reload"
        )
    if any(other.startswith("ufw-") for other in names):
        return f"ufw route allow in on {link}"
    if table == "filter" and family == "ip":
        place = "DOCKER-USER" if "DOCKER-USER" in names else name
        return (
            f"iptables -I {place} -i {link} -j ACCEPT && iptables -I {place} -o {link}"
            " -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
        )
    return (
        f"nft insert rule {family} {table} {name} iifname {link} accept"
        f" && nft insert rule {family} {table} {name} oifname {link}"
        " ct state established,related accept"
    )
