"""Published ports, asked for from outside, from the host, and from where they must not be."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest

from paas.engine.network.publish import AddressAbsent, PortInUse, parse_publish
from paas.host import netlink
from tests.engine.network.world import (
    DROPPED_SECONDS,
    HOST,
    LAN_NEIGHBOUR,
    Instance,
    World,
    ask,
    ask_datagram,
    connect,
    datagram_client,
    nft,
)

LOOPBACK = IPv4Address("127.0.0.1")


def publish(world: World, container: str, *texts: str) -> Instance:
    """A stand-in container whose ports are published, serving on 5000."""
    ports = [port for text in texts for port in parse_publish(text)]
    world.network.prepare(container, ports=ports)
    return world.instance(container)


def test_a_port_that_somebody_has_is_refused(world: World) -> None:
    publish(world, "first", "8080:5000", "127.0.0.1:9090:5000")
    world.serve(world.host, "program", 7070)
    for text in ("8080:80", "127.0.0.1:8080:80", "9090:80", "7070:80"):
        with pytest.raises(PortInUse):
            publish(world, "second", text)
        world.network.detach("second")
    with pytest.raises(AddressAbsent):
        publish(world, "second", "203.0.113.99:80:80")
    world.network.detach("second")
    # The other protocol, and another address, are free.
    publish(world, "second", "8080:5000/udp", f"{HOST}:9090:5000")


def test_it_is_reached_from_outside_and_from_the_host_and_sees_who_asks(world: World) -> None:
    publish(world, "web", "8080:5000", "5353:5000/udp")
    assert ask(world.outside, HOST, 8080) == f"web {LAN_NEIGHBOUR}"
    assert ask(world.host, HOST, 8080).startswith("web")
    assert ask(world.host, LOOPBACK, 8080) == f"web {world.network.plan.host}"
    with datagram_client(world.outside) as client:
        assert ask_datagram(client, HOST, 5353) == "web"
    # And nothing else of it: the published port leads to one of its ports.
    with pytest.raises(ConnectionRefusedError):
        connect(world.outside, HOST, 5000)


def test_bound_to_an_address_it_is_reached_there_alone(world: World) -> None:
    publish(world, "web", "127.0.0.1:8080:5000")
    assert ask(world.host, LOOPBACK, 8080).startswith("web")
    with pytest.raises(ConnectionRefusedError):
        connect(world.outside, HOST, 8080)
    with pytest.raises(ConnectionRefusedError):
        connect(world.host, HOST, 8080)


def test_ranges_and_random_ports(world: World) -> None:
    publish(world, "web", "8000-8002:4999-5001", "5000")
    assert ask(world.outside, HOST, 8001).startswith("web")
    chosen = [each.port for each in world.network.published.of("web") if each.target == 5000]
    assert len(chosen) == 2
    assert ask(world.outside, HOST, max(chosen)).startswith("web")
    # It runs again: nothing changes.
    assert not world.network.published.claim("web", parse_publish("5000"))


def test_other_instances_do_not_get_in_by_it(world: World) -> None:
    publish(world, "web", "8080:5000")
    other = world.instance("other")
    for address in (HOST, world.network.plan.host):
        with pytest.raises((ConnectionRefusedError, TimeoutError)):
            connect(other.namespace, address, 8080, seconds=DROPPED_SECONDS)


def test_the_loopback_of_the_host_is_not_reached_by_instances(world: World) -> None:
    web = publish(world, "web", "127.0.0.1:8080:5000")
    world.serve(world.host, "secret", 22, "127.0.0.1")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out|No route"):
        connect(web.namespace, world.network.plan.host, 22, seconds=DROPPED_SECONDS)


def test_it_ends_with_the_container_and_survives_a_flush(world: World) -> None:
    publish(world, "web", "8080:5000")
    nft(world.host, "flush ruleset")
    world.network.ensure()
    assert ask(world.outside, HOST, 8080).startswith("web")
    world.network.detach("web")
    with pytest.raises(ConnectionRefusedError):
        connect(world.outside, HOST, 8080)
    # The port is anybody's again.
    with netlink.inside(world.host), socket.create_server(("", 8080)):
        pass
    publish(world, "next", "8080:5000")
    assert ask(world.outside, HOST, 8080).startswith("next")


def test_a_foreign_drop_is_found_and_not_touched(world: World) -> None:
    publish(world, "web", "8080:5000")
    drop = "type filter hook forward priority 0; policy drop;"
    nft(world.host, f"table ip filter {{ chain FORWARD {{ {drop} }}; }}")
    with pytest.raises(TimeoutError):
        connect(world.outside, HOST, 8080, seconds=DROPPED_SECONDS)
    assert any("chain FORWARD" in found.problem for found in world.network.findings())
    world.network.ensure()
    with pytest.raises(TimeoutError):
        connect(world.outside, HOST, 8080, seconds=DROPPED_SECONDS)
    # From the host itself nothing is forwarded.
    assert ask(world.host, LOOPBACK, 8080).startswith("web")
