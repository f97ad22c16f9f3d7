"""Follows a packet through a ruleset in the JSON of libnftables-json(5), as far as it can.

What cannot be told from the text (matches of iptables' own, sets by name, rates) may match or
not: then more than one thing may become of the packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Ruleset = Sequence[Mapping[str, Any]]
Chain = tuple[str, str, str]
"""Family, table, name."""
Rules = Mapping[Chain, list[Any]]
Match = bool | None
"""Whether something matches; None when that cannot be told."""

FAMILIES = frozenset({"ip", "inet"})

ACCEPT, DROP = "accept", "drop"
CONTINUE, RETURN = "continue", "return"
"""The rule behind is next, or the one behind the jump to this chain."""

VERDICTS = {
    "accept": ACCEPT,
    "drop": DROP,
    "reject": DROP,
    "REJECT": DROP,
    "return": RETURN,
    "continue": CONTINUE,
}
"""Statements and targets that end a rule; of others it is not known what they decide."""

PASSING = frozenset({"counter", "log", "mangle", "notrack"})
"""Statements that let every packet go on to the next one."""

PASSING_TARGETS = frozenset(
    {"AUDIT", "CLASSIFY", "CONNMARK", "CT", "LOG", "MARK", "NFLOG", "SET", "TCPMSS", "TRACE"}
)
"""The same of iptables' targets (iptables-extensions(8))."""

OTHER_PROTOCOLS = frozenset({"udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "ip6"})
"""Headers that no packet of ours has."""


@dataclass(frozen=True)
class Packet:
    """A packet of TCP that the host gets, as far as rules can tell packets apart here.

    Without an outgoing interface it is for the host itself. A source or target of None is
    anybody's: a match on it may hold.
    """

    incoming: str
    outgoing: str
    source: IPv4Address | None
    target: IPv4Address | None
    state: str
    other: Mapping[str, int] = field(default_factory=dict)
    """The known ones of `sport` and `dport`."""


@dataclass(frozen=True)
class _Way:
    """How a rule was come to: that accepts a few sources for all they do, such as their
    administrator's, it says nothing of the others.
    """

    from_few: bool = False
    by_port: bool = False

    @property
    def concerns_few(self) -> bool:
        return self.from_few and not self.by_port

    def behind(self, left: Mapping[str, Any], *, matched: Match) -> _Way:
        """The way behind a match on `left`."""
        place = left.get("payload", {}).get("field")
        if place == "saddr" and matched is None:
            return replace(self, from_few=True)
        return replace(self, by_port=True) if place == "dport" else self


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


def outcomes(rules: Rules, chain: Chain, packet: Packet) -> set[str]:
    """What may become of a packet in a chain: accept, drop, or continue where no rule decides."""
    return _walk(rules, chain, packet, _Way())


def _walk(rules: Rules, chain: Chain, packet: Packet, way: _Way) -> set[str]:
    found: set[str] = set()
    for expressions in rules.get(chain, ()):
        verdicts = _rule(rules, chain, expressions, packet, way)
        found |= verdicts - {CONTINUE, RETURN}
        if RETURN in verdicts:
            found.add(CONTINUE)
        if CONTINUE not in verdicts:
            return found
    return found | {CONTINUE}


def _rule(
    rules: Rules, chain: Chain, expressions: Iterable[Any], packet: Packet, way: _Way
) -> set[str]:
    certain = True
    for expression in expressions:
        verdicts = _verdicts(rules, chain, expression, packet, way)
        if verdicts is not None:
            return verdicts if certain else verdicts | {CONTINUE}
        matched = _matches(expression, packet)
        if matched is False:
            return {CONTINUE}
        if "match" in expression:
            way = way.behind(expression["match"]["left"], matched=matched)
        certain = certain and matched is True
    return {CONTINUE}


def _verdicts(
    rules: Rules, chain: Chain, expression: Mapping[str, Any], packet: Packet, way: _Way
) -> set[str] | None:
    """What a statement may decide; None for one that is no verdict."""
    if "vmap" in expression:
        return _mapped(rules, chain, expression["vmap"], packet, way)
    for jump in ("jump", "goto"):
        if jump in expression:
            target = (chain[0], chain[1], expression[jump]["target"])
            found = _walk(rules, target, packet, way)
            return {RETURN if each == CONTINUE and jump == "goto" else each for each in found}
    name = _target(expression)
    if name is None or name in PASSING_TARGETS:
        return None
    if name == "accept" and way.concerns_few:
        return {CONTINUE}
    return {VERDICTS[name]} if name in VERDICTS else {ACCEPT, CONTINUE}


def _target(expression: Mapping[str, Any]) -> str | None:
    extension = expression.get("xt") or {}
    if extension.get("type") == "target":
        return str(extension["name"])
    return next((name for name in (*VERDICTS, "queue") if name in expression), None)


def _mapped(
    rules: Rules, chain: Chain, vmap: Mapping[str, Any], packet: Packet, way: _Way
) -> set[str]:
    """What a map of verdicts may decide; of one by name, nothing is known."""
    elements = vmap["data"].get("set") if isinstance(vmap["data"], Mapping) else None
    if elements is None:
        return {ACCEPT, CONTINUE}
    found: set[str] = set()
    for key, verdict in elements:
        matched = _compared(vmap["key"], key, packet)
        if matched is False:
            continue
        behind = way.behind(vmap["key"], matched=matched)
        found |= _verdicts(rules, chain, verdict, packet, behind) or {CONTINUE}
        if matched:
            return found
    return found | {CONTINUE}


def _matches(expression: Mapping[str, Any], packet: Packet) -> Match:
    if "match" in expression:
        match = expression["match"]
        if match["op"] not in {"==", "in", "!="}:
            return None
        if match["left"].get("payload", {}).get("protocol") in OTHER_PROTOCOLS:
            return False
        equal = _compared(match["left"], match["right"], packet)
        return equal if equal is None or match["op"] != "!=" else not equal
    if "xt" in expression:
        extension = expression["xt"] or {}
        passes = extension.get("type") == "target" or extension.get("name") == "comment"
        return True if passes else None
    return True if expression.keys() & PASSING else None


def _compared(left: Mapping[str, Any], right: object, packet: Packet) -> Match:
    actual = _field(left, packet)
    return None if actual is None else _equal(actual, right)


def _field(left: Mapping[str, Any], packet: Packet) -> object | None:
    """What `packet` has where a match looks; None when that cannot be told."""
    new = packet.state == "new"
    if "meta" in left:
        return {
            "iifname": packet.incoming,
            "iif": packet.incoming,
            "oifname": packet.outgoing,
            "oif": packet.outgoing,
            "nfproto": "ipv4",
            "protocol": "ip",
            "l4proto": "tcp",
        }.get(left["meta"].get("key"))
    if "ct" in left:
        # Of a connection that is new, none of the bits are set (dnat, snat, assured, ...).
        status = "" if new else None
        direction = "original" if new else "reply"
        known = {"state": packet.state, "direction": direction, "status": status}
        return known.get(left["ct"].get("key"))
    if left.get("fib", {}).get("result") == "type" and left["fib"].get("flags") == ["daddr"]:
        return None if packet.outgoing else "local"
    payload = left.get("payload", {})
    if payload.get("protocol") in {"tcp", "th"}:
        return packet.other.get(payload.get("field"))
    if payload.get("protocol") != "ip":
        return None
    whole = {"saddr": packet.source, "daddr": packet.target, "protocol": "tcp"}
    return whole.get(payload.get("field"))


def _equal(actual: object, right: object) -> Match:
    """Whether a value is the right side of a match, or one of its elements."""
    if isinstance(right, list):
        found = {_equal(actual, element) for element in right}
        return True if True in found else None if None in found else False
    if isinstance(right, Mapping):
        return _within(actual, right)
    text = str(right)
    if text.startswith("@"):
        return None
    if text.endswith("*"):
        return str(actual).startswith(text[:-1])
    return str(actual) == text


def _within(actual: object, right: Mapping[str, Any]) -> Match:
    if "set" in right:
        return _equal(actual, right["set"])
    if "elem" in right:
        return _equal(actual, right["elem"]["val"])
    if "range" in right and isinstance(actual, int):
        first, last = right["range"]
        return first <= actual <= last if isinstance(first, int) else None
    prefix = right.get("prefix")
    if prefix is None or not isinstance(actual, IPv4Address):
        return None
    if ":" in str(prefix["addr"]):
        return False
    return actual in IPv4Network(f"{prefix['addr']}/{prefix['len']}", strict=False)
