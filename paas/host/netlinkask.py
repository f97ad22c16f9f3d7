"""A question to the kernel by a raw netlink message, and all of its answers.

Source: netlink(7). For what is asked about thousands of things, of which a general decoder reads
one in a quarter of a millisecond.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_RECEIVE_BYTES = 1 << 18


def connected(protocol: int) -> socket.socket:
    """A socket to a part of the kernel, in the network namespace that the thread is in."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


def ask(kernel: socket.socket, kind: int, flags: int, body: bytes, what: str) -> Iterator[bytes]:
    """The body of each answer, up to the last one; `flags` is ACK or DUMP.

    Raises `OSError`, which names `what` was asked for: a refusal may come in place of the answers
    as well as behind them.
    """
    kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, 1, 0) + body)
    while True:
        data = kernel.recv(_RECEIVE_BYTES)
        offset = 0
        while offset < len(data):
            length, answer, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
            start = offset + _HEADER.size
            if answer in {NLMSG_ERROR, NLMSG_DONE}:
                code = -_CODE.unpack_from(data, start)[0]
                if code:
                    raise OSError(code, f"{what}: {os.strerror(code)}")
                return
            yield data[start : offset + length]
            offset += length + 3 & ~3
