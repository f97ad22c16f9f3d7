"""The resolver: a real dnsmasq in the router, another outside as the host's own."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.host import netlink
from paas.host.netlink import OWN_NAMESPACE
from tests.engine.network.conftest import make_network
from tests.engine.network.world import (
    LAN_NEIGHBOUR,
    PRIVATE,
    World,
    ask,
    connect,
    datagram_client,
)

ANSWERS = {"mirror.test": PRIVATE, "example.test": IPv4Address("198.51.100.80")}
WAIT_SECONDS = 60.0


@pytest.fixture
def resolving(bare_world: World, tmp_path: Path) -> Iterator[World]:
    """A world whose host resolves through a server on its LAN, and ours running."""
    with ExitStack() as cleanup:
        cleanup.enter_context(upstream(bare_world.outside, tmp_path))
        bare_world.network = make_network(
            tmp_path / "resolving",
            cleanup,
            egress=("mirror.test:80",),
            nameserver=str(LAN_NEIGHBOUR),
        )
        bare_world.network.ensure()
        started: list[subprocess.Popen[bytes]] = []

        def spawn(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
            started.append(subprocess.Popen(argv, stderr=subprocess.DEVNULL))
            return started[0]

        home = OWN_NAMESPACE.stat().st_ino
        bare_world.network.resolver.start(spawn)
        assert OWN_NAMESPACE.stat().st_ino == home
        cleanup.callback(started[0].wait)
        cleanup.callback(started[0].kill)
        yield bare_world


class upstream:  # noqa: N801 (a context manager)
    """A DNS server that knows ANSWERS."""

    def __init__(self, where: Path, directory: Path) -> None:
        names = (f"--address=/{name}/{address}" for name, address in ANSWERS.items())
        with netlink.inside(where):
            self._process = subprocess.Popen(
                [
                    *("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts"),
                    *("--bind-interfaces", f"--listen-address={LAN_NEIGHBOUR}"),
                    *(f"--pid-file={directory / 'upstream.pid'}", "--conf-file=/dev/null"),
                    *names,
                ],
                stderr=subprocess.DEVNULL,
            )

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def look_up(world: World, where: Path, name: str) -> IPv4Address | None:
    """The A record of a name (RFC 1035, 4.1), asked for until the server is there."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    deadline = time.monotonic() + WAIT_SECONDS
    with datagram_client(where) as client:
        client.settimeout(0.1)
        client.connect((str(world.network.plan.resolver), 53))
        while time.monotonic() < deadline:
            with suppress(TimeoutError, ConnectionRefusedError):
                client.send(query)
                answer = client.recv(512)
                return IPv4Address(answer[-4:]) if struct.unpack(">H", answer[6:8])[0] else None
            time.sleep(0.02)
    raise TimeoutError(name)


def test_an_instance_resolves_what_the_host_can(resolving: World) -> None:
    instance = resolving.instance("app")
    assert look_up(resolving, instance.namespace, "example.test") == ANSWERS["example.test"]
    assert look_up(resolving, instance.namespace, "nothing.internal") is None


def test_another_server_of_the_host_is_used_without_a_restart(resolving: World) -> None:
    instance = resolving.instance("app")
    assert look_up(resolving, instance.namespace, "example.test")
    own = resolving.network.resolver
    before = own.running()
    (resolving.network._resolv_conf).write_text("nameserver 192.0.2.99\n")
    resolving.network.ensure()
    wait_for(lambda: "192.0.2.99" in own.upstream.read_text())
    (resolving.network._resolv_conf).write_text(f"nameserver {LAN_NEIGHBOUR}\n")
    resolving.network.ensure()
    assert look_up(resolving, instance.namespace, "mirror.test") == PRIVATE
    assert own.running() == before


def test_the_hosts_resolver_itself_is_out_of_reach(resolving: World) -> None:
    instance = resolving.instance("app")
    with pytest.raises(ConnectionRefusedError):
        connect(instance.namespace, LAN_NEIGHBOUR, 53)


def test_a_mirror_by_name_is_reached_where_the_name_leads(resolving: World) -> None:
    resolving.serve(resolving.outside, "mirror", 80)
    instance = resolving.instance("build")
    with pytest.raises(ConnectionRefusedError):
        connect(instance.namespace, PRIVATE, 80)
    assert look_up(resolving, instance.namespace, "mirror.test") == PRIVATE
    assert ask(instance.namespace, PRIVATE, 80).startswith("mirror")
    resolving.network.ensure()
    assert ask(instance.namespace, PRIVATE, 80).startswith("mirror")


def test_service_names_follow_what_is_published(resolving: World) -> None:
    instance = resolving.instance("app")
    vip = resolving.network.service("app:1/web").vip
    assert look_up(resolving, instance.namespace, "web.blog.internal") is None
    resolving.network.resolver.publish({"web.blog": vip})
    wait_for(lambda: look_up(resolving, instance.namespace, "web.blog.internal") == vip)
    resolving.network.resolver.publish({})
    wait_for(lambda: look_up(resolving, instance.namespace, "web.blog.internal") is None)


def test_running_and_stop_know_their_own_process(resolving: World) -> None:
    own = resolving.network.resolver
    wait_for(lambda: own.running() is not None)
    pid = own.running()
    assert pid
    own.pid_file.write_text(str(os.getpid()))
    assert own.running() is None
    own.stop()
    # Without its pid file it would keep the address from the next one for ever.
    assert Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    own.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_configuration_that_changed_asks_for_a_restart(resolving: World) -> None:
    own = resolving.network.resolver
    wait_for(lambda: own.running() is not None)
    resolving.network.ensure()
    assert own.current
    own.configure([LAN_NEIGHBOUR], ["another.test"])
    assert own.running()
    assert not own.current
    # However often it is written before somebody restarts it.
    own.configure([LAN_NEIGHBOUR], ["another.test"])
    assert not own.current


def test_a_mirror_that_the_host_is_given_later_is_followed(
    bare_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same process: the supervisor runs for months."""
    network = bare_world.network
    network._allowed_egress = None
    hosts = ["first.test:80"]
    monkeypatch.setattr("paas.engine.network.mirrors.configured", lambda **_: hosts)
    network.ensure()
    assert "/first.test/" in network.resolver.wanted_file.read_text()
    hosts[:] = ["second.test:80"]
    network.ensure()
    assert "/second.test/" in network.resolver.wanted_file.read_text()


def test_the_configuration_is_written_once(resolving: World) -> None:
    own = resolving.network.resolver
    written = own.wanted_file.stat().st_mtime_ns
    resolving.network.ensure()
    assert own.wanted_file.stat().st_mtime_ns == written
    assert socket.inet_aton(str(own.address))
