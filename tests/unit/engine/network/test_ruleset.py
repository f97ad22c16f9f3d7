"""A packet followed through rules as libnftables lists them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

import pytest

from paas.engine.network.findings import egress
from paas.engine.network.hostrules import drops
from paas.engine.network.ruleset import Packet, index

PACKETS = egress("paas0", "eth0", IPv4Address("10.200.1.0"))
BASE = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"}


def match(left: dict[str, Any], right: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str, right: object, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


def blocked(
    *rules: list[dict[str, Any]],
    policy: str = "drop",
    side: list[list[dict[str, Any]]] | None = None,
    packets: Iterable[Packet] = PACKETS,
) -> bool:
    ruleset: list[dict[str, Any]] = [{"chain": {**BASE, "policy": policy}}]
    ruleset.append({"chain": {"family": "ip", "table": "filter", "name": "SIDE"}})
    place = {"family": "ip", "table": "filter"}
    ruleset += [{"rule": {**place, "chain": "FORWARD", "expr": rule}} for rule in rules]
    ruleset += [{"rule": {**place, "chain": "SIDE", "expr": rule}} for rule in side or ()]
    chains, known = index(ruleset)
    place = ("ip", "filter", "FORWARD")
    return any(drops(place, chains[place], known, packet) for packet in packets)


ACCEPT, DROP, REJECT = {"accept": None}, {"drop": None}, {"reject": {"type": "tcp reset"}}
ANSWERS = [match({"ct": {"key": "state"}}, ["established", "related"]), ACCEPT]
OURS = [meta("iifname", "paas0"), {"counter": {"packets": 0, "bytes": 0}}, ACCEPT]
XT = {"xt": {"type": "match", "name": "conntrack"}}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [ANSWERS],
        [OURS],
        [[meta("iifname", "docker0"), ACCEPT], ANSWERS],
        [[XT, meta("iifname", "eth1"), ACCEPT], ANSWERS],
        [[DROP], OURS, ANSWERS],
        [[meta("iifname", {"set": ["lo", "paas0"]}), REJECT]],
        [[{"goto": {"target": "SIDE"}}], OURS, ANSWERS],
    ],
)
def test_blocked(rules: list[list[dict[str, Any]]]) -> None:
    assert blocked(*rules)


@pytest.mark.parametrize(
    "rules",
    [
        [OURS, ANSWERS],
        [OURS, [XT, ACCEPT]],
        [[ACCEPT]],
        [[meta("iifname", "paas*"), ACCEPT], [meta("oifname", "paas0"), ACCEPT]],
        [[meta("iifname", "docker0", op="!="), ACCEPT]],
        [[{"jump": {"target": "SIDE"}}], OURS, ANSWERS],
    ],
)
def test_open(rules: list[list[dict[str, Any]]]) -> None:
    assert not blocked(*rules)


def test_an_accepting_policy_and_rules_for_others_are_open() -> None:
    assert not blocked([meta("iifname", "eth9"), DROP], policy="accept")
    private = {"prefix": {"addr": "192.168.0.0", "len": 16}}
    payload = {"payload": {"protocol": "ip", "field": "saddr"}}
    assert not blocked([match(payload, private), DROP], policy="accept")
    ours = {"prefix": {"addr": "10.0.0.0", "len": 8}}
    assert blocked([match(payload, ours), DROP], policy="accept")


def test_a_chain_jumped_to_decides() -> None:
    assert not blocked([{"jump": {"target": "SIDE"}}], side=[OURS, ANSWERS])
    assert blocked([{"jump": {"target": "SIDE"}}], policy="accept", side=[[DROP]])
    assert blocked([{"jump": {"target": "SIDE"}}], side=[[{"return": None}], OURS, ANSWERS])


def from_anybody(port: int = 80) -> list[Packet]:
    return [Packet("eth0", "", None, None, "new", {"dport": port})]


def port(right: object, op: str = "==", protocol: str = "tcp") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": "dport"}}, right, op)


def vmap(key: dict[str, Any], *pairs: list[Any]) -> dict[str, Any]:
    return {"vmap": {"key": key, "data": {"set": list(pairs)}}}


STATE = {"ct": {"key": "state"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
A_FEW = match(SOURCE, {"prefix": {"addr": "203.0.113.0", "len": 24}})
LIMIT = {"limit": {"rate": 10, "burst": 5, "per": "second", "inv": True}}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [ANSWERS],
        [[port(22), ACCEPT]],
        [[port({"set": [22, {"range": [81, 90]}]}), ACCEPT]],
        [[port(80, protocol="udp"), ACCEPT]],
        [[port(53, "!=", protocol="udp"), ACCEPT]],
        [[match({"ct": {"key": "status"}}, "dnat", "in"), ACCEPT]],
        [[vmap(STATE, ["established", ACCEPT], ["invalid", DROP])]],
        [[vmap({"meta": {"key": "iifname"}}, ["lo", ACCEPT], ["eth0", {"jump": {"target": "S"}}])]],
        # What its administrator's address may do says nothing of the others.
        [[A_FEW, ACCEPT], [port(22), ACCEPT]],
        [[A_FEW, {"jump": {"target": "SIDE"}}]],
    ],
)
def test_nobody_outside_gets_in(rules: list[list[dict[str, Any]]]) -> None:
    assert blocked(*rules, packets=from_anybody(), side=[[ACCEPT]])


@pytest.mark.parametrize(
    "rules",
    [
        [[port({"set": [22, 80]}), ACCEPT]],
        [[port({"range": [1, 1024]}), ACCEPT]],
        [[port(80, protocol="th"), match(STATE, ["new", "untracked"], "in"), ACCEPT]],
        [[port(22, "!="), ACCEPT]],
        [[port("@web"), ACCEPT]],
        [[port(1024, "<"), ACCEPT]],
        [[vmap(DPORT, [{"range": [80, 81]}, ACCEPT])]],
        [[{"vmap": {"key": DPORT, "data": "@verdicts"}}]],
        [[match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), ACCEPT]],
        [[{"queue": {"num": 1}}]],
        [[XT, ACCEPT]],
        # Only from the networks of a load balancer, say: that is meant so.
        [[A_FEW, port(80), ACCEPT]],
        [[A_FEW, {"jump": {"target": "SIDE"}}]],
    ],
)
def test_somebody_outside_may_get_in(rules: list[list[dict[str, Any]]]) -> None:
    assert not blocked(*rules, packets=from_anybody(), side=[[port(80), ACCEPT]])


@pytest.mark.parametrize(
    "rule",
    [[A_FEW, DROP], [port(80), LIMIT, DROP], [XT, DROP], [match(SOURCE, "@banned"), DROP]],
)
def test_who_is_kept_out_by_what_he_does_is_not_everybody(rule: list[dict[str, Any]]) -> None:
    assert not blocked(rule, packets=from_anybody(), policy="accept")
