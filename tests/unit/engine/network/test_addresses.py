"""The arithmetic of addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from paas.engine.network.addresses import (
    CANDIDATES,
    FIRST_INSTANCE,
    FIRST_SERVICE,
    POOL,
    Backend,
    Plan,
    PrefixesTaken,
    ServiceAddresses,
    choose_prefix,
    slot_targets,
)

PLAN = Plan(IPv4Network("10.203.0.0/16"))
INSTANCES = [PLAN.prefix[number] for number in range(FIRST_INSTANCE, FIRST_SERVICE)]


def test_no_candidate_is_left() -> None:
    with pytest.raises(PrefixesTaken, match=r"10\.200\.0\.0/16 to 10\.223\.0\.0/16"):
        choose_prefix([IPv4Network("10.192.0.0/10")], "paas")


def test_the_installed_one_begins_with_the_first() -> None:
    assert choose_prefix([], "paas") == CANDIDATES[0]


@pytest.mark.parametrize("taken", ["10.200.0.0/24", "10.200.7.7/32", "10.128.0.0/9"])
def test_what_overlaps_is_left_out(taken: str) -> None:
    network = IPv4Network(taken)
    if network.prefixlen == 9:
        with pytest.raises(PrefixesTaken):
            choose_prefix([network], "paas")
    else:
        assert choose_prefix([network], "paas") == CANDIDATES[1]


def test_a_default_route_takes_nothing() -> None:
    assert choose_prefix([IPv4Network("0.0.0.0/0")], "paas") == CANDIDATES[0]


def test_instances_that_do_not_see_each_other_tend_to_differ() -> None:
    chosen = {choose_prefix([], f"p{number:06x}") for number in range(50)}
    assert len(chosen) > 4


def test_all_candidates_are_in_the_pool() -> None:
    assert all(any(each.subnet_of(part) for part in POOL) for each in CANDIDATES)


def test_two_dozen_live_beside_each_other() -> None:
    taken: list[IPv4Network] = []
    for number in range(24):
        taken.append(choose_prefix(taken, f"p{number:06x}"))
    assert len(set(taken)) == 24
    with pytest.raises(PrefixesTaken):
        choose_prefix(taken, "paas")


def test_the_parts_do_not_overlap() -> None:
    fixed = {PLAN.host, PLAN.router, PLAN.resolver}
    instances = set(INSTANCES)
    services = set(PLAN.services_after(0))
    assert not fixed & instances
    assert not instances & services
    assert not fixed & services
    assert all(address in PLAN.services for address in services)
    assert not any(address in PLAN.services for address in instances)


def test_addresses_rotate_and_wrap() -> None:
    after = PLAN.services_after(0x8200)
    assert next(after) == IPv4Address("10.203.130.1")
    last = next(PLAN.services_after(0xFFFF))
    assert last == IPv4Address("10.203.128.0")


def test_interface_names_fit_the_kernel() -> None:
    names = {PLAN.interface_of(address) for address in INSTANCES}
    assert len(names) == 0x7F00
    assert max(map(len, names)) < 16


def test_slots_are_shared_out_in_turn() -> None:
    slots = tuple(IPv4Address(f"10.203.128.{number}") for number in range(1, 9))
    service = ServiceAddresses(IPv4Address("10.203.128.0"), slots)
    live = [Backend(IPv4Address(f"10.203.1.{number}"), 5000) for number in range(3)]
    shared = [backend for _, backend in slot_targets(service, live)]
    assert shared == [*live, *live, *live[:2]]
    assert slot_targets(service, []) == []
