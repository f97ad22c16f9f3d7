"""Connections to an instance, as the router's connection tracking sees them."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address
from pathlib import Path

from paas.host import conntrack, netlink
from paas.host.conntrack import Connection

# enum tcp_conntrack (linux/netfilter/nf_conntrack_tcp.h).
SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT = range(1, 6)

OPEN_STATES = frozenset({SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT})
"""An answer may still come. After LAST_ACK (6) both sides have closed; TIME_WAIT (7) and
CLOSE (8) stay listed for up to two minutes and carry nothing."""


FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.32


def is_open(connection: Connection) -> bool:
    """Whether stopping the instance now could cut something off."""
    return connection.protocol == socket.IPPROTO_TCP and connection.state in OPEN_STATES


def count_open(router: Path, address: IPv4Address) -> int:
    """TCP connections that the instance at `address` serves now, whoever opened them."""
    with netlink.inside(router):
        return sum(map(is_open, conntrack.answered_by(address)))


def drain(router: Path, addresses: Iterable[IPv4Address], seconds: float) -> dict[IPv4Address, int]:
    """Wait until no instance of `addresses` serves a connection, `seconds` at most.

    Returns what is left then. Looks less and less often: a look costs 10 ms.
    """
    deadline = time.monotonic() + seconds
    pause, left = FIRST_PAUSE_SECONDS, dict.fromkeys(addresses, 0)
    while True:
        counts = {address: count_open(router, address) for address in left}
        left = {address: count for address, count in counts.items() if count}
        remaining = deadline - time.monotonic()
        if not left or remaining <= 0:
            return left
        time.sleep(min(pause, remaining))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def forget_datagrams(
    router: Path, services: Collection[IPv4Address], addresses: Iterable[IPv4Address]
) -> None:
    """Drop the UDP flows through `services` that still lead to `addresses`.

    A TCP connection ends by itself; a UDP flow is renewed by each packet and would go to
    the old backend for ever.
    """
    with netlink.inside(router):
        for address in addresses:
            conntrack.forget(
                connection
                for connection in conntrack.answered_by(address)
                if connection.protocol == socket.IPPROTO_UDP and connection.target in services
            )
