"""When an instance may be stopped: as soon as no connection that it serves would be cut."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

import pytest

from paas.engine.network import served
from paas.engine.network.router import LOOPBACK
from paas.engine.network.served import OPEN
from paas.host import netlink, sockdiag
from tests.engine.network.world import Instance, World, connect, talk
from tests.push.outcome import eventually

PORT = 5000
LONG = 30.0
"""Seconds that no drain here needs."""


@pytest.fixture
def old(world: World) -> Instance:
    return world.instance("old", PORT)


def count(world: World, instance: Instance) -> int:
    return world.network.drain(instance.pid, 0)


def states(instance: Instance) -> set[int]:
    with netlink.inside(instance.namespace):
        return {one.state for one in sockdiag.connections(socket.AF_INET, *OPEN)}


@contextlib.contextmanager
def listener(
    instance: Instance, family: socket.AddressFamily = socket.AF_INET
) -> Iterator[socket.socket]:
    with netlink.inside(instance.namespace):
        made = socket.create_server(
            ("", PORT), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
    with made:
        yield made


@contextlib.contextmanager
def visited(world: World) -> Iterator[tuple[Instance, socket.socket, socket.socket]]:
    """An instance, its listener, and the end of a visitor that has just connected."""
    instance = world.instance("visited", None)
    with (
        listener(instance) as listening,
        connect(world.host, world.address("visited"), PORT) as client,
    ):
        yield instance, listening, client


def test_one_that_has_ended_serves_nothing(world: World, old: Instance) -> None:
    old.end()
    assert world.network.drain(old.pid, LONG) == 0


def test_a_drain_ends_with_its_limit_and_says_what_is_left(world: World, old: Instance) -> None:
    with connect(world.host, world.address("old"), PORT):
        began = time.monotonic()
        assert world.network.drain(old.pid, 0.2) == 1
        assert 0.2 <= time.monotonic() - began < LONG


def test_it_ends_with_the_last_connection(world: World, old: Instance) -> None:
    first, second = (connect(world.host, world.address("old"), PORT) for _ in range(2))
    talk(first)
    assert count(world, old) == 2
    first.close()
    drained: list[int] = []
    waiter = threading.Thread(target=lambda: drained.append(world.network.drain(old.pid, LONG)))
    waiter.start()
    assert talk(second).startswith("old")
    assert not drained
    second.close()
    waiter.join(LONG)
    assert drained == [0]


def test_what_it_has_opened_itself_does_not_keep_it(world: World, old: Instance) -> None:
    world.network.allow("app:1", "service:1")
    database = world.instance("database", 5432, owner="service:1")
    app = world.instance("app", PORT, owner="app:1")
    with connect(app.namespace, world.address("database"), 5432) as query:
        assert talk(query).startswith("database")
        assert count(world, app) == 0
        assert count(world, database) == 1


def test_one_that_it_has_closed_first_is_over(world: World) -> None:
    with visited(world) as (instance, listening, client):
        accepted, _ = listening.accept()
        accepted.close()
        # The visitor has not closed yet: all that was said has arrived.
        assert client.recv(1) == b""
        eventually(lambda: sockdiag.FIN_WAIT2 in states(instance))
        assert count(world, instance) == 0
        client.close()
        assert count(world, instance) == 0


def test_an_upload_goes_on_behind_the_answer(world: World) -> None:
    with visited(world) as (instance, listening, client):
        accepted, _ = listening.accept()
        with accepted:
            accepted.shutdown(socket.SHUT_WR)
            eventually(lambda: sockdiag.FIN_WAIT2 in states(instance))
            assert count(world, instance) == 1
            client.sendall(b"more")
            assert accepted.recv(4) == b"more"


def test_an_answer_that_has_not_arrived_keeps_it(world: World) -> None:
    instance = world.instance("answers", None)
    with listener(instance) as listening:
        with netlink.inside(world.host):
            client = socket.socket()
        with client:
            # Less than is written: the rest waits in the kernel, whose process has closed.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((str(world.address("answers")), PORT))
            with listening.accept()[0] as accepted:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
                accepted.sendall(b"x" * 100_000)
            assert count(world, instance) == 1
            while client.recv(1 << 16):
                pass
            eventually(lambda: count(world, instance) == 0)


def test_a_visitor_that_has_sent_all_still_waits_for_the_answer(world: World) -> None:
    with visited(world) as (instance, listening, client):
        client.shutdown(socket.SHUT_WR)
        # Nobody has accepted it yet.
        eventually(lambda: sockdiag.CLOSE_WAIT in states(instance))
        assert count(world, instance) == 1
        listening.accept()[0].close()
        eventually(lambda: count(world, instance) == 0)


def test_one_that_listens_no_more_still_serves(world: World) -> None:
    with ExitStack() as stack:
        instance, listening, client = stack.enter_context(visited(world))
        accepted = stack.enter_context(listening.accept()[0])
        timer = threading.Timer(0.1, listening.close)
        timer.start()
        stack.callback(timer.join)
        assert world.network.drain(instance.pid, 0.5) == 1
        accepted.sendall(b"!")
        assert client.recv(1) == b"!"


def test_a_listener_of_both_families_is_seen(world: World) -> None:
    instance = world.instance("both", None)
    with (
        listener(instance, socket.AF_INET6) as listening,
        connect(world.host, world.address("both"), PORT),
        listening.accept()[0],
    ):
        assert count(world, instance) == 1


def test_those_that_have_ended_are_not_even_listed(world: World) -> None:
    """Those that it closed first stay in its namespace for a minute, in TIME_WAIT."""
    instance, many = world.instance("busy", None), 500
    with listener(instance) as listening:
        for _ in range(many):
            with connect(world.host, world.address("busy"), PORT) as client:
                listening.accept()[0].close()
                client.recv(1)
        with netlink.inside(instance.namespace):
            ended = subprocess.run(
                ["ss", "-Htan", "state", "time-wait"], capture_output=True, check=True
            )
            assert len(ended.stdout.splitlines()) > many // 2
            assert sockdiag.connections(socket.AF_INET, *OPEN) == []
    assert count(world, instance) == 0


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without tcp_diag: the kernel answers so for a protocol that has no list."""
    monkeypatch.setattr(sockdiag, "PROTOCOL", 254)


@pytest.mark.usefixtures("blind")
def test_where_the_kernel_does_not_tell_it_has_all_the_time(world: World, old: Instance) -> None:
    with pytest.raises(OSError, match="does not list TCP sockets"):
        sockdiag.listening()
    began = time.monotonic()
    assert world.network.drain(old.pid, 0.2) == 1
    assert 0.2 <= time.monotonic() - began < LONG


@pytest.mark.usefixtures("blind")
def test_a_kernel_that_does_not_tell_is_a_finding(world: World) -> None:
    with netlink.inside(world.host):
        [finding] = served.findings()
    assert "does not list TCP sockets" in finding.problem
    assert finding.remedy == "modprobe tcp_diag"


def test_a_kernel_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockdiag, "SOCK_DIAG_BY_FAMILY", 19)
    with pytest.raises(OSError, match="the list of TCP sockets"):
        sockdiag.listening()


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "127.1.2.3"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1"),
        (socket.AF_INET, "its own"),
    ],
)
def test_its_processes_speak_to_each_other(
    world: World, family: socket.AddressFamily, address: str
) -> None:
    """As a web server does to PHP: that keeps no old instance."""
    instance = world.instance("pair", None)
    target = str(world.address("pair")) if address == "its own" else address
    with netlink.inside(instance.namespace), netlink.Netlink() as net:
        net.set_link(LOOPBACK)
    with (
        listener(instance, family) as listening,
        netlink.inside(instance.namespace),
        socket.create_connection((target, PORT)),
        listening.accept()[0],
    ):
        assert served_by(instance) == 2
        assert world.network.drain(instance.pid, 0) == 0


def served_by(instance: Instance) -> int:
    """The ends of connections there, whoever has them."""
    with netlink.inside(instance.namespace):
        both = (socket.AF_INET, socket.AF_INET6)
        return sum(len(sockdiag.connections(family, sockdiag.ESTABLISHED)) for family in both)


def test_udp_is_nothing_that_is_served(world: World, old: Instance) -> None:
    address: IPv4Address = world.address("old")
    with netlink.inside(world.host), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LONG)
        client.sendto(b"?", (str(address), PORT))
        assert client.recv(100) == b"old"
    assert count(world, old) == 0
