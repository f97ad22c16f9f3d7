"""The two kinds of places that logs are sent to: syslog over a stream, and JSON by HTTPS."""

from __future__ import annotations

import fcntl
import json
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from paas.deploy import outbound
from paas.errors import PaasError
from paas.host.waiting import wait_until
from paas.model.drain import DrainUrl
from paas.model.syslog import Message, frames
from paas.model.version import VERSION

SEND_SECONDS = 30.0
"""A receiver that takes nothing for so long is taken for gone."""

POISON = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class DrainFailed(PaasError):
    """The other side did not take what was sent; it will be sent again."""


class DrainRefused(DrainFailed):
    """The other side will never take it: too much, or not to its taste."""


class Sink(Protocol):
    """Takes lines."""

    def send(self, messages: Sequence[Message]) -> None:
        """Return when the other side has them. Raises `DrainFailed`, `NotPublic`."""

    def close(self) -> None:
        """Let go of the connection; the next `send` makes another one."""


def open_sink(url: DrainUrl, hosts: frozenset[str]) -> Sink:
    """For a drain; `hosts` may be reached although their addresses are not public."""
    return SyslogSink(url, hosts) if url.is_syslog else HttpSink(url, hosts)


@dataclass
class SyslogSink:
    """RFC 5424 over TCP (RFC 6587) or TLS (RFC 5425).

    Syslog has no acknowledgement. What is counted as sent is what the other side's kernel has
    acknowledged, while the connection was whole.
    """

    url: DrainUrl
    hosts: frozenset[str]
    _connection: socket.socket | None = field(default=None, repr=False)

    def send(self, messages: Sequence[Message]) -> None:
        data = b"".join(frame for message in messages for frame in frames(message))
        try:
            connection = self._open()
            connection.sendall(data)
            taken = wait_until(lambda: _unacknowledged(connection) == 0, SEND_SECONDS)
            if not taken:
                raise TimeoutError
            if _has_closed(connection):
                raise ConnectionResetError
        except OSError as error:
            self.close()
            why = "takes nothing" if isinstance(error, TimeoutError) else "closed the connection"
            raise DrainFailed(f"{self.url.host}:{self.url.port} {why}") from None

    def _open(self) -> socket.socket:
        """The connection; a new one when the other side has closed it."""
        if self._connection is not None and _has_closed(self._connection):
            self.close()
        if self._connection is None:
            self._connection = outbound.connect(
                self.url.host, self.url.port, self.hosts, tls=self.url.has_tls
            )
            self._connection.settimeout(SEND_SECONDS)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class HttpSink:
    """A JSON array for each batch; any 2xx is an acknowledgement."""

    url: DrainUrl
    hosts: frozenset[str]

    def send(self, messages: Sequence[Message]) -> None:
        body = json.dumps([_object(message) for message in messages]).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"paas/{VERSION}"}
        status = outbound.post(self.url.text, self.hosts, body, headers)
        if status in POISON:
            raise DrainRefused(f"{self.url.host} answered {status}")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise DrainFailed(f"{self.url.host} answered {status}")

    def close(self) -> None:
        """Nothing is kept open."""


def _object(message: Message) -> dict[str, Any]:
    """A line as `logs --json` has it, and whose it is."""
    return {
        "time": datetime.fromtimestamp(message.at / 1e9, UTC).isoformat(timespec="microseconds"),
        "host": message.host,
        "app": message.app,
        "process": message.process,
        "release": message.release or None,
        "stream": "stderr" if message.is_error else "stdout",
        "text": message.text,
    }


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other side's kernel has not acknowledged (SIOCOUTQ, tcp(7))."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    count: int = struct.unpack("i", answer)[0]
    return count


def _has_closed(connection: socket.socket) -> bool:
    """Whether the other side has; what it says beside that is of no interest."""
    connection.settimeout(0)
    try:
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while connection.recv(4096):
                continue
            return True
    except OSError:
        return True
    finally:
        connection.settimeout(SEND_SECONDS)
    return False
