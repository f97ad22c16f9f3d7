"""What peers send that are no client of ours: each gets a sentence, nobody else notices."""

from __future__ import annotations

import json
import os
import pwd
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from tests.engine.daemon.daemon import CLIENT, ENV, PYTHON, Daemon, frames


def framed(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


HELLO = {"protocol": 1, "argv": ["echo"], "env": {}, "cwd": "/"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "larger than"),
        (struct.pack("!I", 2**32 - 1), "larger than"),
        (framed(b"{"), "not JSON"),
        (framed(b"\xff\xfe"), "not JSON"),
        (framed(b"[" * 100_000), "not JSON"),
        (framed(b"[]"), "not an object"),
        (framed(b"{}"), "different versions"),
        (framed(b'{"protocol":1}'), "without its stdin"),
    ],
)
def test_garbage_gets_a_sentence(daemon: Daemon, data: bytes, says: str) -> None:
    with daemon.connect() as connection:
        connection.sendall(data)
        said, ended = frames(connection)
    assert says in str(said["say"])
    assert ended == {"exit": 1}
    assert daemon.run("echo", "fine").stdout == b"root root fine\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"argv": None}, "without words"),
        ({"command": "echo"}, "two kinds"),
        ({"argv": "echo"}, "not a list"),
        ({"argv": ["echo", 1]}, "not a string"),
        ({"argv": ["echo", "a\0b"]}, "zero bytes"),
        ({"env": []}, "not an object"),
        ({"env": {"TERM": 1}}, "not a string"),
        ({"cwd": None}, "not a string"),
        ({"key": ""}, "without a name"),
        ({"protocol": 2}, "different versions"),
    ],
)
def test_a_wrong_hello_gets_a_sentence(
    daemon: Daemon, change: dict[str, object], says: str
) -> None:
    with daemon.connect() as connection:
        socket.send_fds(connection, [framed(json.dumps(HELLO | change).encode())], [0, 1, 2])
        said, ended = frames(connection)
    assert says in str(said["say"])
    assert ended == {"exit": 1}


@pytest.mark.parametrize("count", [0, 1, 2, 4, 9, 200])
def test_another_number_of_descriptors_is_refused(daemon: Daemon, count: int) -> None:
    with daemon.connect() as connection, Path(os.devnull).open() as null:
        data = framed(json.dumps(HELLO).encode())
        socket.send_fds(connection, [data], [null.fileno()] * count)
        said, _ = frames(connection)
    assert "descriptors" in str(said["say"]) or "stdin" in str(said["say"])


def test_a_hello_in_single_bytes_is_understood(daemon: Daemon) -> None:
    with daemon.connect() as connection, Path(os.devnull).open("r+") as null:
        data = framed(json.dumps(HELLO).encode())
        socket.send_fds(connection, [data[:1]], [null.fileno()] * 3)
        for byte in data[1:]:
            connection.sendall(bytes([byte]))
        assert frames(connection) == [{"exit": 0}]


def test_who_says_nothing_holds_up_nobody(daemon: Daemon) -> None:
    """Clients that connect and stay silent, or stop in the middle, beside one that speaks."""
    connections = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for number, connection in enumerate(connections):
            connection.connect(str(daemon.layout.socket))
            if number % 2:
                connection.sendall(struct.pack("!I", 1000) + b"{")
        assert daemon.run("echo", "fine").stdout == b"root root fine\n"
    finally:
        for connection in connections:
            connection.close()


def test_a_frame_that_is_no_signal_hangs_up(daemon: Daemon, tmp_path: object) -> None:
    read, write = os.pipe()
    with daemon.connect() as connection, Path(os.devnull).open() as null, os.fdopen(read) as said:
        hello = HELLO | {"argv": ["wait-with-client", f"{tmp_path}/end"]}
        socket.send_fds(connection, [framed(json.dumps(hello).encode())], [null.fileno(), write, 2])
        os.close(write)
        assert said.readline().startswith("running")
        connection.sendall(framed(b'{"signal":9}'))
        assert frames(connection) == [{"exit": 129}]


@pytest.fixture
def client_for_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkout may be below a directory that others cannot enter."""
    folder = tmp_path_factory.mktemp("client")
    folder.chmod(0o755)
    for parent in list(folder.parents)[:-2]:
        parent.chmod(0o755)
    (folder / "client.py").write_bytes(CLIENT.read_bytes())
    return str(folder / "client.py")


@pytest.mark.parametrize("words", [["echo"], ["--key", "me", "echo"]])
def test_another_user_is_refused_by_the_file_mode(
    daemon: Daemon, client_for_all: str, words: list[str]
) -> None:
    done = subprocess.run(
        [*PYTHON, client_for_all, "--root", str(daemon.layout.root), *words],
        user="nobody", capture_output=True, text=True, env=ENV,
    )  # fmt: skip
    assert done.returncode == 77
    assert done.stderr == " !     You may not talk to paasd\n !     Use sudo, or ssh.\n"


@pytest.mark.parametrize("words", [["echo"], ["--key", "me", "echo"]])
def test_another_user_is_refused_by_name_where_the_mode_lets_him_through(
    daemon: Daemon, client_for_all: str, words: list[str]
) -> None:
    """As the user that parses packs would be, were he in the login user's group."""
    daemon.layout.socket.chmod(0o666)
    try:
        done = subprocess.run(
            [*PYTHON, client_for_all, "--root", str(daemon.layout.root), *words],
            user=pwd.getpwnam("nobody").pw_uid, group=0, capture_output=True, text=True, env=ENV,
        )  # fmt: skip
    finally:
        daemon.layout.socket.chmod(0o600)
    assert done.stdout == ""
    assert "User nobody may not talk to paasd" in done.stderr
    assert done.returncode == 1
