"""What serves: sockets that a process reads, name servers, certificates."""

from __future__ import annotations

import http.client
import os
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from paas.daemon.checks.check import Unwell
from paas.model.certificate import Certificate
from paas.model.renewing import warn_at

ANSWER_S = 3.0
QUESTIONS = 2
"""A datagram may be lost: resolv.conf(5) asks as often (`attempts`)."""


def takes_datagrams(path: Path) -> bool:
    """Whether a process has this socket open; its file outlives it."""
    gone = suppress(FileNotFoundError, ConnectionRefusedError)
    with gone, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(str(path))
        return True
    return False


def answers(server: str, name: str) -> bool:
    """Whether a DNS server answers a question for an A record, whatever it says.

    Only a SERVFAIL or REFUSED is no answer (RFC 1035, section 4.1.1).
    """
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + question + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect((server, 53))
        for _ in range(QUESTIONS):
            with suppress(OSError):
                connection.send(query)
                answer = connection.recv(512)
                return answer[:2] == query[:2] and answer[3] & 0xF not in (2, 5)
    return False


def serves(address: str, port: int, host: str) -> bool:
    """Whether the proxy answers for `host` with something that is no server error."""
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def certificates(served: Iterable[tuple[str, Certificate]], now: float) -> str:
    """Whether those that serve an app, by its name, will for a while."""
    known = list(served)
    ending = [
        f"{app}: {one.names[0]} {'expired' if one.not_after < now else 'expires'} "
        f"{time.strftime('%Y-%m-%d', time.gmtime(one.not_after))}"
        for app, one in known
        if warn_at(one) <= now
    ]
    if ending:
        raise Unwell(
            "; ".join(ending),
            "Give a new one with certs:add; letsencrypt:list tells why one was not renewed.",
        )
    return f"{len(known)} served" if known else "none"
