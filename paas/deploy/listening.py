"""Where the processes of an instance listen and what waits there, read from its network
namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN as /proc/net/tcp prints it (proc_pid_net(5), include/net/tcp_states.h)."""


@dataclass(frozen=True)
class Listener:
    """One listening TCP socket."""

    address: IPv4Address | IPv6Address
    port: int
    waiting: int = field(default=0, compare=False)
    """Connections that the kernel completed and no process has accepted yet."""

    @property
    def reachable(self) -> bool:
        """Whether a connection from outside of the instance can arrive at it."""
        return not self.address.is_loopback

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def listeners(pid: int, proc: Path = Path("/proc")) -> list[Listener]:
    """The listening TCP sockets in the network namespace of `pid`; none when it is gone."""
    found: list[Listener] = []
    for table in ("tcp", "tcp6"):
        try:
            text = (proc / str(pid) / "net" / table).read_text()
        except OSError:
            # Gone between two looks (ENOENT, ESRCH): it listens nowhere.
            continue
        found += parse(text)
    return sorted(set(found), key=lambda one: (one.port, str(one.address)))


def waiting(pid: int, port: int) -> int | None:
    """How many connections to a port nobody has accepted; None when nobody listens on it."""
    found = [one.waiting for one in listeners(pid) if one.port == port and one.reachable]
    return sum(found) if found else None


def parse(table: str) -> Iterator[Listener]:
    """The listening sockets of a /proc/net/tcp or tcp6 table."""
    for line in table.splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if state == LISTEN:
            host, port = local.split(":")
            # In this state rx_queue is the backlog (net/ipv4/tcp_ipv4.c, get_tcp4_sock).
            yield Listener(_address(host), int(port, 16), int(queues.partition(":")[2], 16))


def _address(digits: str) -> IPv4Address | IPv6Address:
    # Each 32-bit word is printed in the byte order of the host, which is little-endian
    # on every architecture this runs on (x86-64, arm64).
    words = (digits[start : start + 8] for start in range(0, len(digits), 8))
    return ip_address(b"".join(bytes.fromhex(word)[::-1] for word in words))
