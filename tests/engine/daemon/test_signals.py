"""Signals, terminals, and clients that go away."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.daemon.daemon import ENV, Daemon, alive, kill, running
from tests.push.outcome import eventually


@pytest.mark.parametrize(
    ("number", "says"),
    [(signal.SIGINT, "KeyboardInterrupt()"), (signal.SIGTERM, "SystemExit(143)")],
)
def test_a_signal_reaches_the_command_and_its_code_comes_back(
    daemon: Daemon, tmp_path: Path, number: int, says: str
) -> None:
    with daemon.popen("wait", str(tmp_path / "end")) as client:
        running(client)
        client.send_signal(number)
        assert client.wait(60) == 128 + number
        assert client.stderr is not None
        assert client.stderr.read() == b""
    assert (tmp_path / "end").read_text() == says


def test_a_deaf_command_does_not_hold_an_impatient_user(daemon: Daemon) -> None:
    with daemon.popen("obey-nobody") as client:
        pid = running(client)
        for _ in range(3):
            client.send_signal(signal.SIGINT)
            # Two of one kind that wait at the same time are one.
            eventually(lambda: not pending(client.pid, signal.SIGINT))
        assert client.wait(60) == 130
    kill(pid)


def pending(pid: int, number: int) -> bool:
    """Whether a signal still waits to be taken (proc(5), ShdPnd)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("ShdPnd", "SigPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_command_that_needs_its_client_ends_with_it(
    daemon: Daemon, tmp_path: Path, number: int
) -> None:
    with daemon.popen("wait-with-client", str(tmp_path / "end")) as client:
        pid = running(client)
        client.send_signal(number)
        client.wait(60)
    eventually(lambda: not alive(pid))
    assert (tmp_path / "end").read_text() == "SystemExit(129)"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_another_command_goes_on_and_learns_of_it(
    daemon: Daemon, tmp_path: Path, number: int
) -> None:
    with daemon.popen("wait", str(tmp_path / "end")) as client:
        pid = running(client)
        client.send_signal(number)
        client.wait(60)
    eventually(lambda: not alive(pid))
    assert (tmp_path / "end").read_text() == "closed"


class Screen:
    """A terminal with a client in it."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(80, 24)
        self.cooked = termios.tcgetattr(slave)
        self.client = subprocess.Popen(
            daemon.argv(*words), stdin=slave, stdout=slave, stderr=slave, env=ENV,
            start_new_session=True,
        )  # fmt: skip
        self.slave = slave
        self._seen = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def until(self, text: bytes) -> bytes:
        """What is shown up to and with `text`."""
        while text not in self._seen:
            self._seen += os.read(self.master, 1000)
        seen, _, self._seen = self._seen.partition(text)
        return seen + text

    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.cooked

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)


@contextmanager
def screen(daemon: Daemon, *words: str) -> Iterator[Screen]:
    shown = Screen(daemon, *words)
    try:
        yield shown
    finally:
        shown.client.kill()
        shown.client.wait()
        os.close(shown.master)
        os.close(shown.slave)


def test_raw_mode_passes_every_key_and_is_undone(daemon: Daemon) -> None:
    with screen(daemon, "raw") as shown:
        shown.until(b"ready 80 24")
        eventually(lambda: not shown.restored())
        shown.until(b"\n")
        shown.type(b"\x03")
        assert shown.until(b"\r\n") == b"key b'\\x03'\r\n"
        shown.type(b"\x1a")
        assert shown.until(b"\r\n") == b"key b'\\x1a'\r\n"
        shown.resize(132, 43)
        shown.client.send_signal(signal.SIGWINCH)
        assert shown.until(b"\r\n") == b"size 132 43\r\n"
        # Once more, for a command that had been about to wait and not yet waited.
        assert shown.until(b"\r\n") == b"size 132 43\r\n"
        shown.type(b"q")
        assert shown.client.wait(60) == 0
        assert shown.restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_raw_mode_leaves_the_terminal_as_it_was(daemon: Daemon, number: int) -> None:
    with screen(daemon, "raw") as shown:
        shown.until(b"ready 80 24")
        eventually(lambda: not shown.restored())
        shown.client.send_signal(number)
        assert shown.client.wait(60) == 128 + number
        assert shown.restored()


def test_a_command_that_fails_in_raw_mode_leaves_the_terminal_as_it_was(daemon: Daemon) -> None:
    with screen(daemon, "raw-raise") as shown:
        assert shown.client.wait(60) == 3
        assert shown.restored()
        shown.until(b"inside paas")


def test_a_killed_daemon_leaves_the_terminal_as_it_was(fresh: Daemon) -> None:
    with screen(fresh, "raw") as shown:
        shown.until(b"ready 80 24")
        eventually(lambda: not shown.restored())
        fresh.process.kill()
        assert shown.client.wait(60) == 70
        assert shown.restored()
        shown.until(b"paasd stopped before the command was done\r\n")


def test_the_size_is_told_of_a_terminal_only(daemon: Daemon) -> None:
    with screen(daemon, "env") as shown:
        assert b"TerminalSize(columns=80, rows=24)" in shown.until(b"\r\n")
        assert shown.client.wait(60) == 0
    assert daemon.run("env").stdout.endswith(b"None\n")
