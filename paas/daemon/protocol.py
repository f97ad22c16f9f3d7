"""What client and daemon say to each other; `paas.host.sockets` carries it.

client → daemon   hello (with stdin, stdout, stderr), then `{"signal": n}`
daemon → client   `{"raw": bool}`, `{"say": text}`, at last `{"exit": code}`

The hello names the words of a command (`argv`), or, of a forced command, the text that
sshd had from its client (`command`) and the key that it belongs to (`key`). Frames to the
client have one member each, so that it needs no JSON parser to read a number.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.host.sockets import Frame, FrameBroken, Json

VERSION = 1
"""Raised when either side would misunderstand the other; an upgrade restarts paasd."""

STDIO = 3
"""Descriptors of a hello."""

FORWARDED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGWINCH})
"""Signals of the client that reach the command. Hang-up is the end of the connection."""

ENVIRONMENT = frozenset(
    {
        "TERM",
        "LANG",
        "LC_ALL",
        "NO_COLOR",
        "GIT_PROTOCOL",
        "SSH_CONNECTION",
        "SSH_AUTH_SOCK",
        "PAAS_APP",
    }
)
"""What of the client's environment a command may know."""


class Refused(FrameBroken):
    """The daemon does not take this command."""


@dataclass(frozen=True)
class Hello:
    """The first frame of a client. Exactly one of `argv` and `command` is set."""

    argv: tuple[str, ...] | None
    command: str | None
    key: str | None
    env: Mapping[str, str]
    cwd: Path


def parse_hello(frame: Frame) -> Hello:
    """Check a first frame. Raises `FrameBroken`; the descriptors stay the caller's."""
    value = frame.value
    if value.get("protocol") != VERSION:
        raise Refused(
            "This client and the running paasd are of different versions",
            resolution="Restart it: systemctl restart paasd",
        )
    if len(frame.descriptors) != STDIO:
        raise FrameBroken("A command came without its stdin, stdout and stderr")
    argv, command, key = value.get("argv"), value.get("command"), value.get("key")
    if (argv is None) == (command is None):
        raise FrameBroken("A command came without words, or with two kinds of them")
    if key == "":
        raise FrameBroken("A command came on behalf of a key without a name")
    return Hello(
        argv=None if argv is None else _words(argv),
        command=None if command is None else _text(command),
        key=None if key is None else _text(key),
        env=_environment(value.get("env")),
        cwd=Path(_text(value.get("cwd"))),
    )


def parse_signal(frame: Frame) -> signal.Signals:
    """The signal that a later frame of the client forwards. Raises `FrameBroken`."""
    for descriptor in frame.descriptors:
        os.close(descriptor)  # nobody asked for them
    number = frame.value.get("signal")
    if not isinstance(number, int) or number not in FORWARDED:
        raise FrameBroken(f"No signal that a client may send: {number!r}")
    return signal.Signals(number)


def exit_frame(code: int) -> dict[str, Json]:
    """The last frame."""
    return {"exit": code}


def say_frame(text: str) -> dict[str, Json]:
    """Words for people; the client puts ` !     ` before each line, on stderr."""
    return {"say": text}


def raw_frame(*, on: bool) -> dict[str, Json]:
    """Asks the client to put its terminal in raw mode, or back."""
    return {"raw": on}


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise FrameBroken("The words of a command are not a list")
    return tuple(_text(word) for word in value)


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise FrameBroken("A word of a command is not a string without zero bytes")
    return value


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FrameBroken("The environment of a command is not an object")
    return {_text(k): _text(v) for k, v in value.items() if k in ENVIRONMENT}
