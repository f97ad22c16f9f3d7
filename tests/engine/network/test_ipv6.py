"""IPv6 of instances: what must not be reached by it first, then the way out."""

from __future__ import annotations

import errno
import socket
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from paas.engine.network.ipv6 import GATEWAY6
from paas.host import netlink, rtnetlink
from paas.host.firewall import Firewall
from paas.host.netlink import Netlink
from tests.engine.network.world import (
    DROPPED_SECONDS,
    HOST6,
    INTERNET6,
    LAN_NEIGHBOUR6,
    PRIVATE6,
    TUNNEL6,
    World,
    ask,
    connect,
    connect_host6,
    nft,
)

PORT = 80
REFUSED = (ConnectionRefusedError, PermissionError, TimeoutError)


@pytest.fixture
def world6(bare_world: World) -> World:
    connect_host6(bare_world.host, bare_world.outside)
    bare_world.network.ensure()
    return bare_world


def address6(world: World, container: str) -> IPv6Address:
    plan6 = world.network._router.plan6
    assert plan6
    return plan6.address(world.network.plan.number(world.address(container)))


def test_without_it_on_the_host_instances_have_none(world: World) -> None:
    shop = world.instance("shop")
    assert not world.network.has_ipv6
    with netlink.inside(shop.namespace):
        assert "eth0" not in Path("/proc/thread-self/net/if_inet6").read_text()
    assert "filter-AAAA" in world.network.resolver.wanted_file.read_text()


@pytest.mark.parametrize("forbidden", [HOST6, LAN_NEIGHBOUR6, PRIVATE6, TUNNEL6])
def test_an_instance_does_not_reach(world6: World, forbidden: IPv6Address) -> None:
    shop = world6.instance("shop")
    where = world6.host if forbidden == HOST6 else world6.outside
    world6.serve(where, "forbidden", PORT, "::")
    with pytest.raises(REFUSED):
        connect(shop.namespace, forbidden, PORT, seconds=DROPPED_SECONDS)


def test_an_instance_reaches_neither_another_nor_the_host_by_the_link(world6: World) -> None:
    shop, other = world6.instance("shop"), world6.instance("other")
    world6.serve(other.namespace, "other", PORT, "::")
    world6.serve(world6.host, "host", PORT, "::")
    plan6 = world6.network._router.plan6
    assert plan6
    for target in (address6(world6, "other"), plan6.host.ip, plan6.router.ip, GATEWAY6):
        with pytest.raises((*REFUSED, OSError)):
            connect(shop.namespace, target, PORT, seconds=DROPPED_SECONDS)


def test_nobody_outside_opens_connections_to_an_instance(world6: World) -> None:
    shop = world6.instance("shop")
    world6.serve(shop.namespace, "shop", PORT, "::")
    target = address6(world6, "shop")
    with netlink.inside(world6.outside), Netlink() as net:
        lan = net.link("lan0")
        assert lan
        plan6 = world6.network._router.plan6
        assert plan6
        route = rtnetlink.route_by(plan6.prefix, HOST6, lan.index)
        rtnetlink.apply([route], "route to the instances")
    for where in (world6.outside, world6.host):
        with pytest.raises(REFUSED):
            connect(where, target, PORT, seconds=DROPPED_SECONDS)


def test_a_spoofed_source_is_dropped(world6: World) -> None:
    shop, other = world6.instance("shop"), address6(world6, _made(world6, "other"))
    with netlink.inside(world6.outside):
        own = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        own.bind((str(INTERNET6), PORT))
        own.settimeout(DROPPED_SECONDS)
    subprocess.run(
        ["nsenter", f"--net={shop.namespace}", "ip", "addr", "add", f"{other}/128", "dev", "eth0",
         "nodad"], check=True,
    )  # fmt: skip
    with own, netlink.inside(shop.namespace):
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with client:
            client.bind((str(other), 0))
            client.sendto(b"?", (str(INTERNET6), PORT))
        with pytest.raises(TimeoutError):
            own.recvfrom(10)


def _made(world: World, container: str) -> str:
    world.instance(container)
    return container


def test_the_internet_is_reached_and_sees_the_host(world6: World) -> None:
    shop = world6.instance("shop")
    world6.serve(world6.outside, "internet", PORT, "::")
    assert ask(shop.namespace, INTERNET6, PORT) == f"internet {HOST6}"
    assert "filter-AAAA" not in world6.network.resolver.wanted_file.read_text()
    with netlink.inside(world6.host):
        # Only our link and the uplink forward, where the kernel can tell them apart.
        conf = Path("/proc/sys/net/ipv6/conf")
        if (conf / "up0/force_forwarding").exists():
            assert (conf / "all/forwarding").read_text() == "0\n"
            assert (conf / "lo/force_forwarding").read_text() == "0\n"


def test_after_a_flush_everywhere(world6: World) -> None:
    shop = world6.instance("shop")
    world6.serve(world6.outside, "internet", PORT, "::")
    for where in (world6.host, world6.network._router.path):
        nft(where, "flush ruleset")
    world6.network.ensure()
    assert ask(shop.namespace, INTERNET6, PORT) == f"internet {HOST6}"
    with pytest.raises(REFUSED):
        connect(shop.namespace, HOST6, PORT, seconds=DROPPED_SECONDS)


def test_it_goes_with_the_hosts_and_nothing_is_left(world6: World) -> None:
    world6.instance("shop")
    subprocess.run(["ip", "-6", "route", "del", "default"], check=True)
    world6.network.ensure()
    assert not world6.network.has_ipv6
    later = world6.instance("later")
    with pytest.raises(OSError) as caught:
        connect(later.namespace, INTERNET6, PORT)
    assert caught.value.errno == errno.ENETUNREACH
    world6.network.teardown()
    tables = [item["table"]["family"] for item in Firewall().read() if "table" in item]
    assert "ip6" not in tables
    assert "unreachable" not in subprocess.check_output(["ip", "-6", "route"], text=True)
