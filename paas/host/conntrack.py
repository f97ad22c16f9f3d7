"""The door to connection tracking, by raw netlink messages.

Sources: linux/netfilter/nfnetlink_conntrack.h and netlink(7). Written out here because a
busy instance has thousands of flows, of which a general decoder reads one in a quarter of a
millisecond. A dump walks the kernel's whole table (some 10 ms where it has its usual 262144
buckets, and more when it is full), so it is nothing to do again and again.

Everything is about the network namespace that the calling thread is in.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

NETLINK_NETFILTER = 12
GET, DELETE = 0x101, 0x102
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NESTED = 0x8000

TUPLE_ORIG, TUPLE_REPLY, FILTER = 1, 2, 25
TUPLE_IP, TUPLE_PROTO = 1, 2
IP_SOURCE, IP_TARGET = 1, 2
PROTO_NUMBER = 1
FILTER_REPLY_FLAGS = 2
FILTER_SOURCE, FILTER_PROTOCOL = 1 << 0, 1 << 3

HEADER = struct.Struct("=IHHII")
FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
ATTRIBUTE = struct.Struct("=HH")
RECEIVE_BYTES = 1 << 18


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
    with _socket() as kernel:
        kernel.send(_message(GET, REQUEST | DUMP, wanted))
        return [_flow(body) for body in _answers(kernel)]


def forget(flows: Iterable[Flow]) -> None:
    """Track these no more: the next packet of each counts as a new flow's first.

    One that has ended since it was listed is fine. Raises `OSError`.
    """
    with _socket() as kernel:
        for flow in flows:
            key = _attribute(TUPLE_ORIG | NESTED, flow.key)
            kernel.send(_message(DELETE, REQUEST | ACK, key))
            try:
                for _ in _answers(kernel):
                    pass
            except FileNotFoundError:
                continue


def _socket() -> socket.socket:
    return socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
    )


def _message(kind: int, flags: int, attributes: bytes) -> bytes:
    body = FAMILY + attributes
    return HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    """The attributes of each answer, up to the last one."""
    while True:
        data = kernel.recv(RECEIVE_BYTES)
        offset = 0
        while offset < len(data):
            length, kind, _flags, _sequence, _port = HEADER.unpack_from(data, offset)
            if kind in {NLMSG_ERROR, NLMSG_DONE}:
                _raise_for(struct.unpack_from("=i", data, offset + HEADER.size)[0])
                return
            yield data[offset + HEADER.size + len(FAMILY) : offset + length]
            offset += length + 3 & ~3


def _raise_for(code: int) -> None:
    if code:
        raise OSError(-code, f"connection tracking: {os.strerror(-code)}")


def _flow(body: bytes) -> Flow:
    key = _attributes(body)[TUPLE_ORIG]
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
