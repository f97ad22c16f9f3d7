"""What on this host keeps instances from the internet: for `paas doctor`, with the remedy.

Only egress crosses the host's own rules. They are judged by following a packet and its
answer through every forward chain.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.engine.network.hostrules import IPTABLES, IPTABLES_LEGACY, Dropping, HostRules
from paas.engine.network.ruleset import Packet

ALLOW = "paas up --allow-firewall"
"""What makes the rules that nobody else keeps, again after each start of the machine."""

Command = tuple[str, ...]


@dataclass(frozen=True)
class Opening:
    """The commands that have a firewall pass what instances send.

    Where it does not last, it is gone with the next start of the machine or of the firewall.
    """

    commands: tuple[Command, ...]
    lasts: bool


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, in one sentence, and what to type against it."""

    problem: str
    remedy: str
    opening: Opening | None = None


def egress(interface: str, uplink: str, instance: IPv4Address) -> tuple[Packet, Packet]:
    """An instance's first packet to the internet, and the answer after translation."""
    outside = IPv4Address("192.0.43.8")
    return (
        Packet(interface, uplink, instance, outside, "new", {"dport": 443}),
        Packet(uplink, interface, outside, instance, "established", {"sport": 443}),
    )


def blocking_chains(rules: HostRules, packets: Iterable[Packet], tag: str) -> list[Finding]:
    """The forward chains that drop one of `packets`. `tag` is the comment of rules against it."""
    found: dict[str, Finding] = {}
    for packet in packets:
        for dropping in rules.dropping(packet):
            found.setdefault(dropping.where, _finding(dropping, packet, tag))
    return list(found.values())


def _finding(dropping: Dropping, packet: Packet, tag: str) -> Finding:
    answers = packet.state == "established"
    what = "the answers from the internet to instances" if answers else "what instances send"
    opening = _opening(dropping, packet.outgoing if answers else packet.incoming, tag)
    remedy = " && ".join(map(shlex.join, opening.commands)) if opening.lasts else ALLOW
    return Finding(f"{dropping.where} drops {what}", remedy, opening)


def _opening(dropping: Dropping, link: str, tag: str) -> Opening:
    family, table, name = dropping.chain
    if table == "firewalld":
        trust = ("firewall-cmd", "--permanent", "--zone=trusted", f"--add-interface={link}")
        return Opening((trust, ("firewall-cmd", "--reload")), lasts=True)
    if dropping.by_ufw:
        return Opening((("ufw", "route", "allow", "in", "on", link),), lasts=True)
    place = "DOCKER-USER" if "DOCKER-USER" in dropping.names else name
    if dropping.program in {IPTABLES, IPTABLES_LEGACY}:
        insert: Command = (dropping.program, "-t", table, "-I", place)
        noted: Command = ("-m", "comment", "--comment", tag, "-j", "ACCEPT")
        answers: Command = ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED")
        sent, received = (*insert, "-i", link), (*insert, "-o", link, *answers)
    else:
        insert = ("nft", "insert", "rule", family, table, place)
        noted = ("accept", "comment", tag)
        answers = ("ct", "state", "established,related")
        sent, received = (*insert, "iifname", link), (*insert, "oifname", link, *answers)
    return Opening(((*sent, *noted), (*received, *noted)), lasts=False)
