"""Where the processes of an instance listen, read from its network namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN as /proc/net/tcp prints it (proc_pid_net(5), include/net/tcp_states.h)."""


@dataclass(frozen=True)
class Listener:
    """One listening TCP socket."""

    address: IPv4Address | IPv6Address
    port: int

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


def parse(table: str) -> Iterator[Listener]:
    """The listening sockets of a /proc/net/tcp or tcp6 table."""
    for line in table.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == LISTEN:
            host, port = local.split(":")
            yield Listener(_address(host), int(port, 16))


def _address(digits: str) -> IPv4Address | IPv6Address:
    # Each 32-bit word is printed in the byte order of the host, which is little-endian
    # on every architecture this runs on (x86-64, arm64).
    words = (digits[start : start + 8] for start in range(0, len(digits), 8))
    return ip_address(b"".join(bytes.fromhex(word)[::-1] for word in words))
