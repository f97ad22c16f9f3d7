"""A packet followed through rules as libnftables lists them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from paas.engine.network.findings import blocking_chains, egress

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
) -> bool:
    ruleset: list[dict[str, Any]] = [{"chain": {**BASE, "policy": policy}}]
    ruleset.append({"chain": {"family": "ip", "table": "filter", "name": "SIDE"}})
    place = {"family": "ip", "table": "filter"}
    ruleset += [{"rule": {**place, "chain": "FORWARD", "expr": rule}} for rule in rules]
    ruleset += [{"rule": {**place, "chain": "SIDE", "expr": rule}} for rule in side or ()]
    return bool(blocking_chains(ruleset, PACKETS, "paas_paas"))


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


def test_our_own_table_is_not_foreign() -> None:
    ruleset = [{"chain": {**BASE, "table": "paas_paas", "policy": "drop"}}]
    assert blocking_chains(ruleset, PACKETS, "paas_paas") == []
