"""Syslog messages: RFC 5424, framed by octet counts (RFC 5425, section 4.3; RFC 6587, 3.4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

LOCAL7 = 23
INFORMATIONAL, ERROR = 6, 3
"""Facility and severities (section 6.2.1): local7 as Heroku's drains; what went to stderr is an
error."""

MAX_MESSAGE = 16 * 1024
"""Bytes of the text of one message; receivers cut what is longer, so a longer line is several."""

NIL = "-"


@dataclass(frozen=True)
class Message:
    """One line of a program. `at` is in nanoseconds since the epoch."""

    at: int
    host: str
    app: str
    process: str
    release: str
    is_error: bool
    text: str


def frames(message: Message) -> Iterator[bytes]:
    """The message as it goes over a stream: each a length, a blank, and so many bytes."""
    severity = ERROR if message.is_error else INFORMATIONAL
    header = " ".join(
        (
            f"<{LOCAL7 * 8 + severity}>1",
            _time(message.at),
            _printable(message.host, 255),
            _printable(message.app, 48),
            _printable(message.process, 128),
            _printable(message.release, 32),
            NIL,
        )
    ).encode()
    data = message.text.encode("utf-8", "replace")
    for part in _parts(data):
        body = header + b" " + part
        yield str(len(body)).encode() + b" " + body


def _parts(data: bytes) -> Iterator[bytes]:
    """Of at most `MAX_MESSAGE` bytes, cut between characters."""
    while len(data) > MAX_MESSAGE:
        end = MAX_MESSAGE
        while data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[:end]
        data = data[end:]
    yield data


def _time(at: int) -> str:
    """RFC 3339 with the six digits that section 6.2.3 has room for."""
    seconds, nanoseconds = divmod(at, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06d}Z"


def _printable(text: str, longest: int) -> str:
    """PRINTUSASCII, or the nil value (section 6)."""
    return re.sub(r"[^\x21-\x7e]", "", text)[:longest] or NIL
