"""Connections to an instance, as the router's connection tracking sees them."""

from __future__ import annotations

import socket
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


def is_open(connection: Connection) -> bool:
    """Whether stopping the instance now could cut something off."""
    return connection.protocol == socket.IPPROTO_TCP and connection.state in OPEN_STATES


def count_open(router: Path, address: IPv4Address) -> int:
    """TCP connections that the instance at `address` serves now, whoever opened them."""
    with netlink.inside(router):
        return sum(map(is_open, conntrack.answered_by(address)))


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
