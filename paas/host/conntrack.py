"""The door to connection tracking, by raw netlink messages.

Source: linux/netfilter/nfnetlink_conntrack.h. A dump walks the kernel's whole table (some 10 ms
where it has its usual 262144 buckets, and more when it is full), so it is nothing to do again and
again.

Everything is about the network namespace that the calling thread is in.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.host.netlinkask import ACK, DUMP, ask, connected

NETLINK_NETFILTER = 12
GET, DELETE = 0x101, 0x102
NESTED = 0x8000

TUPLE_ORIG, TUPLE_REPLY, FILTER = 1, 2, 25
TUPLE_IP, TUPLE_PROTO = 1, 2
IP_SOURCE, IP_TARGET = 1, 2
PROTO_NUMBER = 1
FILTER_REPLY_FLAGS = 2
FILTER_SOURCE, FILTER_PROTOCOL = 1 << 0, 1 << 3

FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
ATTRIBUTE = struct.Struct("=HH")
WHAT = "connection tracking"


@dataclass(frozen=True)
class Flow:
    """A tracked UDP flow: to which address it was opened."""

    target: IPv4Address
    key: bytes
    """The original tuple, as the kernel wrote it."""


def datagrams_answered_by(address: IPv4Address) -> list[Flow]:
    """The UDP flows whose answers come from `address`, after all translation.

    The kernel filters by the reply tuple (since 5.8; correctly since 5.17). Raises `OSError`.
    """
    source = _nested(TUPLE_IP, _attribute(IP_SOURCE, address.packed))
    protocol = _nested(TUPLE_PROTO, _attribute(PROTO_NUMBER, bytes([socket.IPPROTO_UDP])))
    flags = _attribute(FILTER_REPLY_FLAGS, struct.pack("=I", FILTER_SOURCE | FILTER_PROTOCOL))
    wanted = _nested(TUPLE_REPLY, source + protocol) + _nested(FILTER, flags)
    with connected(NETLINK_NETFILTER) as kernel:
        return [_flow(body) for body in ask(kernel, GET, DUMP, FAMILY + wanted, WHAT)]


def forget(flows: Iterable[Flow]) -> None:
    """Track these no more: the next packet of each counts as a new flow's first.

    One that has ended since it was listed is fine. Raises `OSError`.
    """
    with connected(NETLINK_NETFILTER) as kernel:
        for flow in flows:
            key = _attribute(TUPLE_ORIG | NESTED, flow.key)
            try:
                for _ in ask(kernel, DELETE, ACK, FAMILY + key, WHAT):
                    pass
            except FileNotFoundError:
                continue


def _flow(body: bytes) -> Flow:
    key = _attributes(body[len(FAMILY) :])[TUPLE_ORIG]
    return Flow(IPv4Address(_attributes(_attributes(key)[TUPLE_IP])[IP_TARGET]), key)


def _attributes(data: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            raise OSError(errno.EBADMSG, "connection tracking: a malformed answer")
        found[kind & 0x3FFF] = data[offset + ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3
    return found


def _attribute(kind: int, data: bytes) -> bytes:
    padding = b"\0" * (-len(data) % 4)
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(data), kind) + data + padding


def _nested(kind: int, data: bytes) -> bytes:
    return _attribute(kind | NESTED, data)
