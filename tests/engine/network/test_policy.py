"""Who reaches whom, tried with real packets."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from paas.host import netlink
from paas.host.netlink import Netlink, Route
from tests.engine.network.conftest import make_network
from tests.engine.network.world import (
    DROPPED_SECONDS,
    HOST,
    INTERNET,
    LAN_NEIGHBOUR,
    METADATA,
    PRIVATE,
    World,
    ask,
    connect,
    datagram_client,
)

REFUSED = (ConnectionRefusedError,)


def test_an_instance_does_not_reach_another(world: World) -> None:
    first = world.instance("first")
    world.instance("second")
    with pytest.raises(REFUSED):
        connect(first.namespace, world.address("second"), 5000)


@pytest.mark.parametrize("forbidden", [METADATA, PRIVATE, LAN_NEIGHBOUR, HOST])
def test_an_instance_does_not_reach(world: World, forbidden: IPv4Address) -> None:
    where = world.host if forbidden == HOST else world.outside
    world.serve(where, "forbidden", 80)
    instance = world.instance("first")
    with pytest.raises(REFUSED):
        connect(instance.namespace, forbidden, 80)


def test_an_instance_does_not_reach_the_host_through_the_link(world: World) -> None:
    world.serve(world.host, "sshd", 22)
    instance = world.instance("first")
    with pytest.raises(REFUSED):
        connect(instance.namespace, world.network.plan.host, 22)


def test_the_host_keeps_instances_out_even_from_addresses_the_router_does_not_know(
    world: World,
) -> None:
    with Netlink() as net:
        net.add_address(1, IPv4Interface("203.0.113.7/32"))
    world.serve(world.host, "sshd", 22)
    instance = world.instance("first")
    with pytest.raises(TimeoutError):
        connect(instance.namespace, IPv4Address("203.0.113.7"), 22, seconds=DROPPED_SECONDS)


def test_a_spoofed_source_is_dropped(world: World) -> None:
    world.serve(world.outside, "internet", 80)
    instance = world.instance("first")
    with netlink.inside(instance.namespace), Netlink() as net:
        link = net.link("eth0")
        assert link
        net.add_address(link.index, IPv4Interface(f"{world.network.plan.host}/32"))
        net.add_address(link.index, IPv4Interface("198.51.100.9/32"))
    world.instance("victim")
    address, where = world.address("victim"), instance.namespace
    for source in (str(world.network.plan.host), "198.51.100.9"):
        with pytest.raises(TimeoutError):
            connect(where, address, 5000, source=source, seconds=DROPPED_SECONDS)


def test_egress_is_open_and_translated_to_the_host(world: World) -> None:
    world.serve(world.outside, "internet", 80)
    instance = world.instance("first")
    assert ask(instance.namespace, INTERNET, 80) == f"internet {HOST}"


def test_a_configured_mirror_in_a_private_network_is_reached_on_its_port(
    bare_world: World, tmp_path: Path
) -> None:
    with ExitStack() as cleanup:
        network = make_network(tmp_path / "other", cleanup, egress=(f"{PRIVATE}:3142",))
        network.ensure()
        bare_world.network = network
        bare_world.serve(bare_world.outside, "mirror", 3142)
        bare_world.serve(bare_world.outside, "secret", 5432)
        instance = bare_world.instance("build")
        assert ask(instance.namespace, PRIVATE, 3142) == f"mirror {HOST}"
        with pytest.raises(REFUSED):
            connect(instance.namespace, PRIVATE, 5432)


def test_the_host_reaches_an_instance_which_sees_the_link_address(world: World) -> None:
    world.instance("first")
    answer = ask(world.host, world.address("first"), 5000)
    assert answer == f"first {world.network.plan.host}"


def test_the_lan_does_not_reach_an_instance_through_the_host(world: World) -> None:
    world.instance("first")
    with netlink.inside(world.outside), Netlink() as net:
        lan = net.link("lan0")
        assert lan
        net.set_route(Route(world.network.plan.prefix, link=lan.index, gateway=HOST))
    with pytest.raises(TimeoutError):
        connect(world.outside, world.address("first"), 5000, seconds=DROPPED_SECONDS)


def test_a_link_opens_one_direction_and_only_while_it_stands(world: World) -> None:
    app = world.instance("app", owner="app:1")
    world.network.allow("app:1", "service:1")
    database = world.instance("database", owner="service:1")
    answer = ask(app.namespace, world.address("database"), 5000)
    assert answer == f"database {world.address('app')}"
    with pytest.raises(REFUSED):
        connect(database.namespace, world.address("app"), 5000)
    world.network.forbid("app:1", "service:1")
    with pytest.raises(REFUSED):
        connect(app.namespace, world.address("database"), 5000)


def test_an_instance_that_joins_later_shares_its_owners_links(world: World) -> None:
    world.network.allow("app:1", "service:1")
    world.instance("database", owner="service:1")
    late = world.instance("late", owner="app:1")
    assert ask(late.namespace, world.address("database"), 5000).startswith("database")
    world.network.detach("late")
    assert not world.network.links_in_use()


def test_two_networks_on_one_host_do_not_reach_each_other(world: World, tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        other = make_network(tmp_path / "other", cleanup)
        other.ensure()
        assert not other.plan.prefix.overlaps(world.network.plan.prefix)
        first = world.instance("first")
        second = World(other, world.host, world.outside, cleanup)
        second.instance("second")
        with pytest.raises(REFUSED):
            connect(first.namespace, second.address("second"), 5000)
        assert ask(world.host, second.address("second"), 5000).startswith("second")


def test_a_removed_address_errors_at_once(world: World) -> None:
    instance = world.instance("first")
    address = world.address("first")
    connection = connect(world.host, address, 5000)
    instance.end()
    world.network.detach("first")
    with pytest.raises(REFUSED):
        connect(world.host, address, 5000)
    with connection, pytest.raises(OSError) as failure:
        connection.sendall(b"?")
        connection.recv(1)
        connection.recv(1)
    assert failure.value.errno in {errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH}


def test_what_is_sent_to_an_address_that_nobody_has_is_refused_and_goes_nowhere(
    world: World,
) -> None:
    instance, nobody = world.instance("first"), world.network.plan.prefix[0x7000]
    before = sent_by_loopback(world)
    for where in (world.host, instance.namespace):
        with pytest.raises(REFUSED):
            connect(where, nobody, 5000)
        with datagram_client(where) as client:
            client.connect((str(nobody), 5000))
            client.send(b"?")
            with pytest.raises(OSError, match="No route to host"):
                client.recv(1)
    assert sent_by_loopback(world) == before


def sent_by_loopback(world: World) -> int:
    """Packets that the router has sent to itself: proc_pid_net(5)."""
    with netlink.inside(world.network._router.path):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    (fields,) = [line.split() for line in lines if line.strip().startswith("lo:")]
    return int(fields[10])


def test_without_its_router_an_address_errors_at_once(world: World) -> None:
    world.instance("first")
    address = world.address("first")
    with Netlink() as net:
        link = net.link(world.network.interface)
        assert link
        net.delete_link(link.index)
    with pytest.raises(OSError, match="No route to host") as failure:
        connect(world.host, address, 5000)
    assert not isinstance(failure.value, socket.timeout)
