"""A command through client and master: words, streams, codes, what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.engine.daemon.daemon import CHECKOUT, CLIENT, ENV, PYTHON, Daemon, alive
from tests.push.outcome import eventually


def test_a_bug_shows_no_trace_to_the_user_and_is_kept(daemon: Daemon) -> None:
    done = daemon.run("raise")
    assert done.returncode == 3
    assert b"inside paas" in done.stderr
    assert b"secret of the trace" not in done.stdout + done.stderr
    assert "secret of the trace" in daemon.log.read_text()


def test_a_killed_command_is_reported_with_its_signal(daemon: Daemon) -> None:
    done = daemon.run("kill-yourself", "9")
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stderr == b" !     The command was killed on the server by SIGKILL\n"


@pytest.mark.parametrize("code", [0, 1, 7, 20, 255])
def test_the_exit_code_and_both_streams_come_back(daemon: Daemon, code: int) -> None:
    done = daemon.run("exit", str(code))
    assert (done.returncode, done.stdout, done.stderr) == (code, b"out\n", b"err\n")


@pytest.mark.parametrize(
    "words",
    [
        ("",),
        ("a b", "c"),
        ("$HOME", "`id`", "'", '"', "\\"),
        ("line\nline\r\n\ttab\x01",),
        ("ünïcode 🦆",),
        (os.fsdecode(b"not utf-8: \xff\xfe"),),
        ("--root", "x", "--key", "y"),
    ],
)
def test_words_arrive_as_they_were(daemon: Daemon, words: tuple[str, ...]) -> None:
    assert daemon.run("words", *words).stdout == f"{words!r}\n".encode()


def test_megabytes_of_words_arrive(daemon: Daemon) -> None:
    words = tuple("x" * 100_000 for _ in range(15))
    assert daemon.run("words", *words).stdout == f"{words!r}\n".encode()


def test_a_hundred_megabytes_of_binary_stdin_pass_unharmed(daemon: Daemon) -> None:
    """By the descriptor itself: neither client nor daemon copies a byte of it."""
    block = bytes(range(256)) * 4096
    expected, found = hashlib.sha256(), hashlib.sha256()
    with daemon.popen("cat", stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        assert client.stdout is not None

        def feed() -> None:
            assert client.stdin is not None
            for _ in range(100):
                client.stdin.write(block)
                expected.update(block)
            client.stdin.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        while data := client.stdout.read(1 << 20):
            found.update(data)
        feeder.join()
        assert client.wait(20) == 0
    assert found.digest() == expected.digest()


def test_a_regular_file_is_read_where_the_shell_opened_it(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"0123456789")
    with (tmp_path / "in").open("rb", buffering=0) as source:
        source.seek(4)
        done = subprocess.run(daemon.argv("cat"), stdin=source, capture_output=True, env=ENV)
    assert done.stdout == b"456789"


def test_closed_descriptors_are_no_trouble(daemon: Daemon) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *daemon.argv("exit", "5")], env=ENV
    )
    assert done.returncode == 5


def test_only_the_known_part_of_the_environment_arrives(daemon: Daemon) -> None:
    env = ENV | {"TERM": "vt100", "LD_PRELOAD": "", "PYTHONPATH": "/evil", "SECRET": "x"}
    assert daemon.run("env", env=env).stdout == (
        f"{{'TERM': 'vt100', 'LANG': 'C.UTF-8'}} {Path.cwd()} None\n".encode()
    )


def test_nothing_of_the_master_reaches_a_command(daemon: Daemon) -> None:
    """Its own connection, the log; not the lock, the listener, another command's descriptors."""
    with daemon.popen("obey-nobody"):
        found = daemon.run("descriptors").stdout.decode()
    assert found.count("socket:") == 1
    assert "lock" not in found
    assert "pipe:" not in found.replace(str(daemon.log), "")


def test_what_a_command_leaves_behind_dies_with_it(daemon: Daemon) -> None:
    left = int(daemon.run("leave-behind").stdout)
    eventually(lambda: not alive(left))


def test_what_a_killed_command_leaves_behind_dies_with_it(daemon: Daemon) -> None:
    with daemon.popen("leave-behind-and-wait") as client:
        assert client.stdout is not None
        left = int(client.stdout.readline())
        parent = int(Path(f"/proc/{left}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        assert client.wait(20) == 128 + signal.SIGKILL
    eventually(lambda: not alive(left))


def test_many_at_once(daemon: Daemon) -> None:
    clients = [
        subprocess.Popen(daemon.argv("words", str(n)), stdout=subprocess.PIPE, env=ENV)
        for n in range(40)
    ]
    assert [client.communicate(timeout=60)[0] for client in clients] == [
        f"('{n}',)\n".encode() for n in range(40)
    ]


def test_a_key_speaks_through_what_it_typed(daemon: Daemon) -> None:
    def typed(text: str) -> bytes:
        env = ENV | {"SSH_ORIGINAL_COMMAND": text}
        return daemon.run("--key", "me", "ignored", env=env).stdout

    assert typed("echo 'a  b' $x") == b"key me a  b $x\n"
    assert typed("") == b"this is help\n"
    refused = daemon.run("--key", "me", env=ENV | {"SSH_ORIGINAL_COMMAND": "echo 'a"})
    assert refused.returncode == 1
    assert b"no closing quotation" in refused.stderr


def test_a_key_sees_no_directory_of_the_server(daemon: Daemon) -> None:
    done = daemon.run("--key", "me", env=ENV | {"SSH_ORIGINAL_COMMAND": "env"})
    assert done.stdout.decode().split()[-2:] == ["/", "None"]


def test_a_reader_that_left_ends_the_client(daemon: Daemon, tmp_path: Path) -> None:
    """`paas … | head -1`: 128 + SIGPIPE, and no complaint."""
    with daemon.popen("wait", str(tmp_path / "end")) as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.stdout.close()
        assert client.wait(60) == 141
        assert client.stderr is not None
        assert client.stderr.read() == b""
    eventually(lambda: (tmp_path / "end").exists() and (tmp_path / "end").read_text() == "closed")


def test_without_a_daemon_there_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PYTHON, str(CLIENT), "--root", str(tmp_path), "apps:list"],
        capture_output=True, text=True, env=ENV,
    )  # fmt: skip
    assert done.returncode == 69
    assert done.stdout == ""
    assert done.stderr.startswith(" !     paasd is not running\n !     Start it: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("option", ["--root", "--key"])
def test_an_option_without_its_value_is_one_sentence(option: str) -> None:
    done = subprocess.run([*PYTHON, str(CLIENT), option], capture_output=True, text=True, env=ENV)
    assert (done.returncode, done.stderr) == (2, f" !     {option} needs a value\n")


def test_the_program_hands_over_to_the_client(daemon: Daemon) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "paas", "--root", str(daemon.layout.root), "exit", "4"],
        capture_output=True, cwd=CHECKOUT, env=ENV,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, b"out\n")
