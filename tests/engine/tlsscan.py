"""What a server speaks, found as testssl.sh does: by hellos written out by hand.

A library offers only what it has itself; these offer every suite of the registry
(https://www.iana.org/assignments/tls-parameters) in protocols that OpenSSL has long forgotten.
Sources: RFC 5246, section 7.4.1; RFC 8446, section 4.1; RFC 6101 (SSL 3.0).
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field

SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = range(0x0300, 0x0305)
SUITES = (*range(0x0001, 0x0100), *range(0xC001, 0xC100), *range(0xCC13, 0xCCB0))
"""Those for TLS 1.2 and before."""
SUITES_1_3 = tuple(range(0x1301, 0x1308))

ALERT, HANDSHAKE, SERVER_HELLO = 21, 22, 2
SNI, GROUPS, POINTS, SIGNATURES, ALPN, HEARTBEAT = 0, 10, 11, 13, 16, 15
VERSIONS, KEY_SHARE, RENEGOTIATION = 43, 51, 0xFF01
DEFLATE, UNCOMPRESSED = 1, 0


@dataclass(frozen=True)
class Hello:
    """A ServerHello."""

    version: int
    suite: int
    compression: int
    extensions: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """An alert (RFC 8446, section 6.2), or a closed connection: 0."""

    alert: int


def offer(
    address: tuple[str, int],
    name: str,
    version: int,
    suites: tuple[int, ...],
    protocols: tuple[bytes, ...] = (),
) -> Hello | Refused:
    """What the server makes of this hello."""
    with socket.create_connection(address, 10) as connection:
        connection.sendall(_client_hello(name, version, suites, protocols))
        return _answer(connection)


def accepted(address: tuple[str, int], name: str, version: int) -> set[int]:
    """Every suite that the server takes in a version of the protocol."""
    rest = SUITES_1_3 if version == TLS_1_3 else SUITES
    found: set[int] = set()
    while rest and isinstance(hello := offer(address, name, version, rest), Hello):
        if hello.version != version:
            break
        found.add(hello.suite)
        rest = tuple(suite for suite in rest if suite != hello.suite)
    return found


def _client_hello(
    name: str, version: int, suites: tuple[int, ...], protocols: tuple[bytes, ...]
) -> bytes:
    extensions = {
        SNI: _vector(2, b"\0" + _vector(2, name.encode())),
        GROUPS: _vector(2, struct.pack(">3H", 0x1D, 0x17, 0x18)),
        POINTS: _vector(1, b"\0"),
        SIGNATURES: _vector(
            2, struct.pack(">9H", 0x403, 0x503, 0x603, 0x804, 0x805, 0x806, 0x401, 0x501, 0x201)
        ),
        HEARTBEAT: b"\1",
        RENEGOTIATION: _vector(1, b""),
    }
    if protocols:
        extensions[ALPN] = _vector(2, b"".join(_vector(1, each) for each in protocols))
    if version == TLS_1_3:
        extensions[VERSIONS] = _vector(1, struct.pack(">H", TLS_1_3))
        share = struct.pack(">H", 0x1D) + _vector(2, os.urandom(32))
        extensions[KEY_SHARE] = _vector(2, share)
    body = (
        struct.pack(">H", min(version, TLS_1_2))
        + os.urandom(32)
        + _vector(1, b"")
        + _vector(2, b"".join(struct.pack(">H", suite) for suite in suites))
        + _vector(1, bytes([DEFLATE, UNCOMPRESSED]) if version < TLS_1_3 else bytes([UNCOMPRESSED]))
    )
    if version > SSL_3:
        packed = (struct.pack(">H", kind) + _vector(2, data) for kind, data in extensions.items())
        body += _vector(2, b"".join(packed))
    message = b"\1" + _vector(3, body)
    return struct.pack(">BH", HANDSHAKE, min(version, TLS_1_0)) + _vector(2, message)


def _vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _answer(connection: socket.socket) -> Hello | Refused:
    head = _exactly(connection, 5)
    if len(head) < 5:
        return Refused(0)
    body = _exactly(connection, int.from_bytes(head[3:5], "big"))
    if head[0] == ALERT:
        return Refused(body[1])
    assert (head[0], body[0]) == (HANDSHAKE, SERVER_HELLO)
    message = body[4 : 4 + int.from_bytes(body[1:4], "big")]
    rest = message[35 + message[34] :]
    size = int.from_bytes(rest[3:5], "big")
    extensions = _extensions(rest[5 : 5 + size])
    version = int.from_bytes(extensions.get(VERSIONS, message[:2]), "big")
    return Hello(version, int.from_bytes(rest[:2], "big"), rest[2], extensions)


def _extensions(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        kind, length = struct.unpack(">HH", data[:4])
        found[kind], data = data[4 : 4 + length], data[4 + length :]
    return found


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            chunk = connection.recv(size - len(data))
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            break
        data += chunk
    return data
