"""The text of the tables."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from paas.engine.network.addresses import Backend, Plan, ServiceAddresses
from paas.engine.network.policy import (
    RouterState,
    Surroundings,
    Target,
    datagram_services,
    host_table,
    link_elements,
    router_table,
    service_change,
)

PLAN = Plan(IPv4Network("10.203.0.0/16"))
SERVICE = ServiceAddresses(PLAN.prefix[0x8000], (PLAN.prefix[0x8001], PLAN.prefix[0x8002]))
OLD, NEW = Backend(PLAN.prefix[0x100], 5000), Backend(PLAN.prefix[0x101], 5000)


def test_networks_that_overlap_are_written_once() -> None:
    around = Surroundings(local=(IPv4Network("10.1.0.0/24"), IPv4Network("192.0.2.0/24")))
    [denied] = [
        line
        for line in router_table(RouterState(PLAN, around)).splitlines()
        if line.startswith("add element ip paas denied")
    ]
    assert "10.0.0.0/8" in denied
    assert "10.1.0.0/24" not in denied
    assert "192.0.2.0/24" in denied


def test_allowed_targets_keep_their_ports_apart() -> None:
    allowed = (
        Target(IPv4Network("10.1.2.0/24"), 443),
        Target(IPv4Network("10.1.2.3/32"), 443),
        Target(IPv4Network("10.1.2.3/32"), 80),
        Target(IPv4Network("10.9.0.0/16")),
    )
    text = router_table(RouterState(PLAN, Surroundings(allowed=allowed)))
    assert "allowed { 10.9.0.0/16 }" in text
    assert "allowed_ports { 10.1.2.3/32 . 80, 10.1.2.0/24 . 443 }" in text


def test_empty_sets_have_no_statement() -> None:
    assert "{  }" not in router_table(RouterState(PLAN))


def test_a_change_deletes_before_it_adds_and_an_empty_service_has_no_elements() -> None:
    lines = service_change({SERVICE: (OLD,)}, {SERVICE: (NEW,)}).splitlines()
    assert [line.split()[0] for line in lines] == ["delete"] * 3 + ["add"] * 3
    assert service_change({SERVICE: ()}, {SERVICE: ()}).strip() == ""
    emptied = service_change({SERVICE: (OLD,)}, {SERVICE: ()})
    assert "add" not in emptied


def test_a_packet_of_a_connection_has_one_route_looked_up_beside_its_own() -> None:
    lines = map(str.strip, router_table(RouterState(PLAN)).splitlines())
    asking = [line for line in lines if "fib" in line]
    assert asking == [
        'iifname != "host" fib saddr . iif oif missing counter drop',
        "ct state new ct status dnat fib daddr . iif oif exists meta mark set 0x100",
    ]


def test_links_are_replaced_as_a_whole() -> None:
    text = link_elements({(IPv4Address("10.203.1.0"), IPv4Address("10.203.1.1"))})
    assert text == (
        "flush set ip paas links\nadd element ip paas links { 10.203.1.0 . 10.203.1.1 }\n"
    )
    assert link_elements(()) == "flush set ip paas links\n"


def test_the_hosts_table_accepts_nothing_that_is_not_named() -> None:
    text = host_table("paas", "paas0", PLAN, Surroundings())
    accepts = [line for line in text.splitlines() if line.endswith(" accept")]
    assert accepts == ['    iifname "paas0" ct state established,related accept']


def test_the_set_of_datagrams_is_read() -> None:
    listing = [{"metainfo": {}}, {"set": {"name": "datagrams", "elem": ["10.203.128.1"]}}]
    assert datagram_services(listing) == {IPv4Address("10.203.128.1")}
    assert datagram_services([{"set": {"name": "datagrams"}}]) == set()
