"""Syslog's messages as RFC 5424 has them, and what cannot be a drain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.drain import InvalidDrain, parse_drain
from paas.model.syslog import MAX_MESSAGE, Message, frames


def message(text: str, **changed: object) -> Message:
    fields: dict[str, object] = {
        "at": 1_767_225_600_123_456_789,
        "host": "server",
        "app": "shop",
        "process": "web.1",
        "release": "v3",
        "is_error": False,
    }
    return Message(text=text, **(fields | changed))  # type: ignore[arg-type]


def unframed(data: bytes) -> list[bytes]:
    """As a receiver takes octet-counted frames apart."""
    found = []
    while data:
        count, _, rest = data.partition(b" ")
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found


def test_a_line_is_one_message_of_rfc_5424() -> None:
    [frame] = frames(message("grüße"))
    body = "<190>1 2026-01-01T00:00:00.123456Z server shop web.1 v3 - grüße".encode()
    assert frame == str(len(body)).encode() + b" " + body
    [error] = frames(message("", is_error=True, release=""))
    assert error.endswith(b"<187>1 2026-01-01T00:00:00.123456Z server shop web.1 - - ")


def test_a_long_line_is_several_and_no_character_is_cut() -> None:
    text = "ü" * MAX_MESSAGE
    parts = unframed(b"".join(frames(message(text))))
    texts = [part.split(b" - ", 1)[1] for part in parts]
    assert b"".join(texts).decode() == text
    assert all(len(each) <= MAX_MESSAGE and each.decode() for each in texts)


@given(st.text(max_size=200), st.text(max_size=60))
def test_whatever_is_written_makes_whole_frames(text: str, name: str) -> None:
    frame = b"".join(frames(message(text, app=name, process=name)))
    [body] = unframed(frame)
    header = body.split(b" ", 7)[:7]
    assert all(each and each.isascii() for each in header)
    assert body.split(b" ", 7)[7] == text.encode("utf-8", "replace")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "logs.example.com",
        "http://logs.example.com",
        "file:///etc/passwd",
        "syslog://",
        "syslog+tls://host:x",
        "syslog+tls://host:99999",
        "syslog://user:pass@host:514",
        "syslog://host:514/path",
        "syslog://[::1",
        "https://ho st/",
        "https://host/\n",
        "https://host/" + "a" * 3000,
    ],
)
def test_what_logs_cannot_be_sent_to_is_refused(text: str) -> None:
    with pytest.raises(InvalidDrain):
        parse_drain(text)


def test_a_drain_shows_its_server_and_no_secret() -> None:
    drain = parse_drain("https://me:secret@logs.example.com/token?key=secret")
    assert (str(drain), drain.port) == ("https://logs.example.com:443/…", 443)
    assert "secret" not in repr(drain)
    assert str(parse_drain("syslog+tls://[fd00::1]")) == "syslog+tls://[fd00::1]:6514"
