"""What the thin client repeats of the daemon's, since it imports nothing of it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from paas.daemon import client, hook, protocol
from paas.host import sockets
from paas.model.layout import DEFAULT_ROOT, Layout


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*protocol.ENVIRONMENT, "PAAS_ROOT", "PAAS_HOST", "SSH_ORIGINAL_COMMAND"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "root", [str(DEFAULT_ROOT), "/var/lib/paas/", "/srv/x", "/tmp", "relative"]
)
def test_the_socket_is_where_the_daemon_listens(root: str) -> None:
    assert client.socket_path(root) == str(Layout.at(root).socket)


def test_the_constants_agree() -> None:
    assert str(DEFAULT_ROOT) == client.DEFAULT_ROOT
    assert client.PROTOCOL == protocol.VERSION
    assert frozenset(client.ENVIRONMENT) == protocol.ENVIRONMENT


@pytest.mark.parametrize(
    "words",
    [[], ["a"], ['"', "\\", "\n\x01"], ["ü🦆"], [os.fsdecode(b"\xff\xfe")]],
)
def test_a_hello_is_what_the_daemon_s_encoder_would_make(words: list[str]) -> None:
    text = client.hello(words, None)
    value = {"protocol": 1, "argv": words, "env": {}, "cwd": str(Path.cwd())}
    assert sockets.encode(value) == len(text).to_bytes(4, "big") + text.encode("ascii")


def test_a_key_says_what_sshd_had_and_not_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", 'a "b\n$c')
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    assert json.loads(client.hello(["ignored"], "ann")) == {
        "protocol": 1,
        "key": "ann",
        "command": 'a "b\n$c',
        "env": {"SSH_CONNECTION": "1 2 3 4"},
        "cwd": str(Path.cwd()),
    }


def test_a_hello_is_understood_with_its_descriptors() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client.send(ours, client.hello(["x"], None))  # type: ignore[arg-type]
        frame = sockets.Receiver(theirs).receive(1)
        assert protocol.parse_hello(frame).argv == ("x",)
        assert [os.fstat(a).st_ino for a in frame.descriptors] == [
            os.fstat(n).st_ino for n in range(3)
        ]
        for descriptor in frame.descriptors:
            os.close(descriptor)


def test_the_hook_speaks_and_understands_frames() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hook.ask(ours, {"refs": [["a", "b", os.fsdecode(b"\xff")]], "env": {}})
        frame = sockets.Receiver(theirs).receive(1)
        assert frame.value == {"refs": [["a", "b", os.fsdecode(b"\xff")]], "env": {}}
        assert len(frame.descriptors) == 1
        os.close(frame.descriptors[0])
        sockets.send(theirs, {"exit": 7})
        assert hook.answer(ours) == 7


def test_every_frame_to_the_client_has_one_member() -> None:
    """It reads them without a JSON parser."""
    for frame in (protocol.exit_frame(1), protocol.say_frame("x"), protocol.raw_frame(on=True)):
        assert len(frame) == 1


def test_a_host_named_by_hand_makes_it_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_ROOT", "/srv/x")
    assert client.server_here() == "/srv/x"
    monkeypatch.setenv("PAAS_HOST", "server")
    assert client.server_here() is None


@pytest.mark.parametrize(
    ("argv", "parsed"),
    [
        ([], (None, None, [])),
        (["a", "--root", "x"], (None, None, ["a", "--root", "x"])),
        (["--root", "x", "a", "--key", "y"], ("x", None, ["a", "--key", "y"])),
        (["--root", "x", "--key", "y", "--app", "z"], ("x", "y", ["--app", "z"])),
    ],
)
def test_only_leading_options_are_ours(
    argv: list[str], parsed: tuple[str | None, str | None, list[str]]
) -> None:
    assert client.parse(argv) == parsed
