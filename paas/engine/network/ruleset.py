"""Follows a packet through a ruleset in the JSON of libnftables-json(5), as far as it can.

What cannot be told from the text (matches of iptables' own, sets by name) is assumed to
match or not to match, as the caller says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Ruleset = Sequence[Mapping[str, Any]]
Chain = tuple[str, str, str]
"""Family, table, name."""
Rules = Mapping[Chain, list[Any]]

FAMILIES = frozenset({"ip", "inet"})


@dataclass(frozen=True)
class Packet:
    """A packet that the host forwards, as far as rules can tell packets apart here."""

    incoming: str
    outgoing: str
    source: IPv4Address
    target: IPv4Address
    state: str
    other: dict[tuple[str, str], object] = field(default_factory=dict)
    """Further fields: (protocol, field) to value."""


def index(
    ruleset: Ruleset,
) -> tuple[dict[Chain, Mapping[str, Any]], dict[Chain, list[Any]]]:
    """The chains of a ruleset, and the statements of each one's rules."""
    chains: dict[Chain, Mapping[str, Any]] = {}
    rules: dict[Chain, list[Any]] = {}
    for item in ruleset:
        if "chain" in item and item["chain"]["family"] in FAMILIES:
            chain = item["chain"]
            chains[chain["family"], chain["table"], chain["name"]] = chain
        elif "rule" in item:
            rule = item["rule"]
            key = (rule["family"], rule["table"], rule["chain"])
            rules.setdefault(key, []).append(rule["expr"])
    return chains, rules


def follow(rules: Rules, chain: Chain, packet: Packet, *, assume: bool) -> str | None:
    """`accept`, `drop`, or None when no rule of the chain decides."""
    for expressions in rules.get(chain, ()):
        if not all(_matches(expression, packet, assume=assume) for expression in expressions):
            continue
        for expression in expressions:
            verdict = _verdict(rules, chain, expression, packet, assume=assume)
            if verdict == "return":
                return None
            if verdict is not None:
                return verdict
    return None


def _verdict(
    rules: Rules,
    chain: Chain,
    expression: Mapping[str, Any],
    packet: Packet,
    *,
    assume: bool,
) -> str | None:
    if "accept" in expression or "return" in expression:
        return "accept" if "accept" in expression else "return"
    if "drop" in expression or "reject" in expression:
        return "drop"
    for jump in ("jump", "goto"):
        if jump in expression:
            target = (chain[0], chain[1], expression[jump]["target"])
            verdict = follow(rules, target, packet, assume=assume)
            return "return" if verdict is None and jump == "goto" else verdict
    if "xt" in expression and (expression["xt"] or {}).get("name") == "REJECT":
        return "drop"
    return None


def _matches(expression: Mapping[str, Any], packet: Packet, *, assume: bool) -> bool:
    if "match" in expression:
        match = expression["match"]
        actual = _field(match["left"], packet)
        if actual is None:
            return assume
        equal = _equal(actual, match["right"])
        return not equal if match["op"] == "!=" else equal
    if "xt" in expression:
        return assume or (expression["xt"] or {}).get("type") == "target"
    return True


def _field(left: Mapping[str, Any], packet: Packet) -> object | None:
    """What `packet` has where a match looks; None when that cannot be told."""
    if "meta" in left:
        key = left["meta"].get("key")
        return {
            "iifname": packet.incoming,
            "iif": packet.incoming,
            "oifname": packet.outgoing,
            "oif": packet.outgoing,
            "nfproto": "ipv4",
            "l4proto": "tcp",
        }.get(key)
    if left.get("ct", {}).get("key") == "state":
        return packet.state
    payload = left.get("payload", {})
    place = (payload.get("protocol"), payload.get("field"))
    addresses = {("ip", "saddr"): packet.source, ("ip", "daddr"): packet.target}
    return addresses.get(place, packet.other.get(place))


def _equal(actual: object, right: object) -> bool:
    """Whether a value is the right side of a match, or one of its elements."""
    if isinstance(right, list):
        return any(_equal(actual, element) for element in right)
    if isinstance(right, Mapping):
        return _equal(actual, right["set"]) if "set" in right else _within(actual, right)
    if isinstance(right, str) and right.endswith("*"):
        return str(actual).startswith(right[:-1])
    return str(actual) == str(right)


def _within(actual: object, right: Mapping[str, Any]) -> bool:
    prefix = right.get("prefix")
    if prefix is None or not isinstance(actual, IPv4Address) or ":" in str(prefix["addr"]):
        return False
    return actual in IPv4Network(f"{prefix['addr']}/{prefix['len']}", strict=False)
