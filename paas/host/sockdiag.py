"""The door to the kernel's list of TCP sockets, by raw netlink messages.

Sources: sock_diag(7), linux/inet_diag.h, net/tcp_states.h. The kernel leaves out the states that
nobody asks for: ten thousand connections in TIME_WAIT are passed over there, where connection
tracking would list them all.

Everything is about the network namespace that the calling thread is in.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from paas.host.netlinkask import DUMP, ask, connected

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
PROTOCOL = socket.IPPROTO_TCP

ESTABLISHED, SYN_RECV, FIN_WAIT1, FIN_WAIT2 = 1, 3, 4, 5
CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = 8, 9, 10, 11

WHAT = "the list of TCP sockets"

FAMILIES = (socket.AF_INET, socket.AF_INET6)

_QUESTION = struct.Struct("=BBBxI48x")
_ANSWER = struct.Struct("=xBxxH2x16s16s28xI")
"""Of struct inet_diag_msg the state, the local port (in network order), both addresses, the
inode."""


@dataclass(frozen=True)
class TcpSocket:
    """`held` says that a process has it open: not one still to be accepted, or closed by all;
    `inside`, that both ends are in the namespace.
    """

    family: socket.AddressFamily
    state: int
    port: int
    held: bool
    inside: bool


def listening() -> list[TcpSocket]:
    """The sockets that connections are accepted from. Raises `OSError`."""
    return [one for family in FAMILIES for one in _dump(family, (LISTEN,))]


def connections(family: socket.AddressFamily, *states: int) -> list[TcpSocket]:
    """The connections that are in one of `states`; through a listener of both families they are
    IPv6's. The kernel looks at all of the machine's, in half a millisecond and up to some where
    there are many thousands. Raises `OSError`.
    """
    return list(_dump(family, states))


def _dump(family: socket.AddressFamily, states: tuple[int, ...]) -> Iterator[TcpSocket]:
    question = _QUESTION.pack(family, PROTOCOL, 0, sum(1 << state for state in states))
    try:
        with connected(NETLINK_SOCK_DIAG) as kernel:
            for body in ask(kernel, SOCK_DIAG_BY_FAMILY, DUMP, question, WHAT):
                state, port, source, target, inode = _ANSWER.unpack_from(body)
                inside = source == target or _is_loopback(family, target)
                yield TcpSocket(family, state, socket.ntohs(port), inode != 0, inside)
    except FileNotFoundError:
        message = "the kernel does not list TCP sockets (tcp_diag)"
        raise OSError(errno.EOPNOTSUPP, message) from None


def _is_loopback(family: socket.AddressFamily, address: bytes) -> bool:
    if family == socket.AF_INET:
        return IPv4Address(address[:4]).is_loopback
    whole = IPv6Address(address)
    return (whole.ipv4_mapped or whole).is_loopback
