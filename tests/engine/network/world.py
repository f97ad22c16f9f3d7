"""A small internet of network namespaces: a host, what is outside, stand-in instances.

`host` plays the machine that a PaaS runs on, so that the real one's routes and firewall
are left alone; `outside` has a server on the internet, the host's LAN and what must never
be reached. Sockets belong to the namespace they are opened in, so the servers are threads.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

from paas.engine.network.network import Network
from paas.engine.network.router import ANYWHERE, LOOPBACK
from paas.host import netlink, rtnetlink, syscalls
from paas.host.netlink import Netlink, Route

HOST = IPv4Address("192.0.2.2")
LAN_NEIGHBOUR = IPv4Address("192.0.2.1")
INTERNET = IPv4Address("198.51.100.80")
PRIVATE = IPv4Address("10.9.9.9")
METADATA = IPv4Address("169.254.169.254")
HOST6 = IPv6Address("2a00:db8::2")
LAN_NEIGHBOUR6 = IPv6Address("2a00:db8::1")
INTERNET6 = IPv6Address("2600:80::80")
PRIVATE6 = IPv6Address("fd99::9")
TUNNEL6 = IPv6Address("2002:a09:909::1")
SECONDS = 30.0
"""Longer than any answer in here takes."""

DROPPED_SECONDS = 0.5
"""After which a packet that was to be dropped counts as dropped."""


@contextmanager
def namespace(path: Path) -> Iterator[Path]:
    """A network namespace at `path` for as long as the block lasts."""
    path.touch()
    netlink.make_namespace(path)
    try:
        yield path
    finally:
        syscalls.umount(path, syscalls.MNT_DETACH)


def connect_host(host: Path, outside: Path) -> None:
    """The host's uplink, a default route, and the addresses outside."""
    with netlink.inside(outside), Netlink() as net:
        descriptor = host.open("rb")
        with descriptor:
            net.add_veth("lan0", "up0", namespace=descriptor.fileno())
        lan = net.link("lan0")
        assert lan
        net.add_address(lan.index, IPv4Interface(f"{LAN_NEIGHBOUR}/24"))
        net.set_link(lan.index)
        net.set_link(LOOPBACK)
        for address in (INTERNET, PRIVATE, METADATA):
            net.add_address(LOOPBACK, IPv4Interface(f"{address}/32"))
    with netlink.inside(host), Netlink() as net:
        up = net.link("up0")
        assert up
        net.set_link(LOOPBACK)
        net.add_address(up.index, IPv4Interface(f"{HOST}/24"))
        net.set_link(up.index)
        net.set_route(Route(ANYWHERE, link=up.index, gateway=LAN_NEIGHBOUR))


def connect_host6(host: Path, outside: Path) -> None:
    """IPv6 on the same uplink: a default route, and addresses outside."""
    with netlink.inside(outside), Netlink() as net:
        lan = net.link("lan0")
        assert lan
        inner = [IPv6Interface(f"{one}/128") for one in (INTERNET6, PRIVATE6, TUNNEL6)]
        rtnetlink.apply(
            [
                rtnetlink.address(lan.index, IPv6Interface(f"{LAN_NEIGHBOUR6}/64")),
                *(rtnetlink.address(LOOPBACK, one) for one in inner),
            ],
            "connect the internet",
        )
    with netlink.inside(host), Netlink() as net:
        up = net.link("up0")
        assert up
        rtnetlink.apply(
            [
                rtnetlink.address(up.index, IPv6Interface(f"{HOST6}/64")),
                rtnetlink.default_route(LAN_NEIGHBOUR6, up.index),
            ],
            "connect the host",
        )
        if not Path("/proc/sys/net/ipv6/conf/up0/force_forwarding").exists():
            # Before Linux 6.17: an administrator's decision.
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")


class Instance:
    """A process in a network namespace of its own, as a container is for the network."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE
        )
        assert self._process.stdout
        # The namespace is there when it writes.
        self._process.stdout.readline()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def namespace(self) -> Path:
        return Path(f"/proc/{self.pid}/ns/net")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class Server:
    """Answers each line with its name and the client's address, until the client ends."""

    def __init__(self, where: Path, name: str, port: int, address: str = "0.0.0.0") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with netlink.inside(where):
            self._listener = socket.create_server((address, port), family=family)
            self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
            self._datagrams.bind((address, port))
        self._name = name.encode()
        for work in (self._accept, self._answer_datagrams):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        for open_socket in (self._listener, self._datagrams):
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, peer = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, peer[0]), daemon=True).start()

    def _serve(self, client: socket.socket, peer: str) -> None:
        with suppress(OSError), client:
            while client.recv(100):
                client.sendall(self._name + b" " + peer.encode() + b"\n")

    def _answer_datagrams(self) -> None:
        with suppress(OSError):
            while True:
                asked, peer = self._datagrams.recvfrom(100)
                if not asked:
                    return
                self._datagrams.sendto(self._name, peer)


class World:
    """What a test has: the network under test, instances, servers, and who can reach whom."""

    def __init__(self, network: Network, host: Path, outside: Path, cleanup: ExitStack) -> None:
        self.network = network
        self.host = host
        self.outside = outside
        self._cleanup = cleanup

    def instance(self, container: str, port: int | None = 5000, owner: str = "") -> Instance:
        """A stand-in container, attached, answering with its id on `port`."""
        instance = Instance()
        self._cleanup.callback(instance.end)
        self.network.attach(container, instance.pid, owner=owner)
        if port is not None:
            self.serve(instance.namespace, container, port)
        return instance

    def serve(self, where: Path, name: str, port: int, address: str = "0.0.0.0") -> Server:
        server = Server(where, name, port, address)
        self._cleanup.callback(server.close)
        return server

    def address(self, container: str) -> IPv4Address:
        address = self.network.address(container)
        assert address
        return address


def connect(
    where: Path,
    address: IPv4Address | IPv6Address,
    port: int,
    *,
    source: str = "",
    seconds: float = SECONDS,
) -> socket.socket:
    """A connection from a namespace. Raises `TimeoutError` after `seconds`."""
    with netlink.inside(where):
        origin = (source, 0) if source else None
        return socket.create_connection(
            (str(address), port), timeout=seconds, source_address=origin
        )


def ask(where: Path, address: IPv4Address | IPv6Address, port: int) -> str:
    """What the server there answers: its name and who it saw."""
    with connect(where, address, port) as connection:
        return talk(connection)


def talk(connection: socket.socket) -> str:
    connection.sendall(b"?")
    return connection.recv(100).decode().strip()


def ask_datagram(client: socket.socket, address: IPv4Address, port: int) -> str:
    client.sendto(b"?", (str(address), port))
    return client.recv(100).decode()


def datagram_client(where: Path) -> socket.socket:
    with netlink.inside(where):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(SECONDS)
    return client


def nft(where: Path, commands: str) -> None:
    subprocess.run(
        ["nsenter", f"--net={where}", "nft", "-f", "-"], input=commands.encode(), check=True
    )
