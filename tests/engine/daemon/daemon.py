"""A master in a process of its own, and the thin client in front of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paas.host.sockets import Frame, Receiver
from paas.model.layout import Layout

CHECKOUT = Path(__file__).parents[3]
CLIENT = CHECKOUT / "paas/daemon/client.py"
PYTHON = ("/usr/bin/python3", "-I", "-S")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Daemon:
    """`served.py` over a root of its own."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout.at(root)
        self.log = root / "log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start a master and wait until it says that it serves."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.daemon.served", str(self.layout.root)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                env=ENV,
            )  # fmt: skip
        assert process.stdout is not None
        with process.stdout as said:
            assert said.readline() == b"ready\n", self.log.read_text()
        return process

    def restart(self) -> None:
        """A new master; the old one has ended."""
        self.process.wait()
        self.process = self.start()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def argv(self, *words: str) -> list[str]:
        return [*PYTHON, str(CLIENT), "--root", str(self.layout.root), *words]

    def run(
        self, *words: str, input: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command through the client to its end."""
        return subprocess.run(
            self.argv(*words), input=input, capture_output=True, timeout=60, env=env or ENV
        )

    @contextmanager
    def popen(self, *words: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
        """A client that runs beside the test, killed at the end."""
        process = subprocess.Popen(
            self.argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV,
            **options,  # type: ignore[call-overload]
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        """A bare connection, to say something else than our client would."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.layout.socket))
            yield connection


def frames(connection: socket.socket) -> list[Mapping[str, object]]:
    """All frames until the one with the exit code."""
    connection.settimeout(None)
    receiver = Receiver(connection)
    found: list[Mapping[str, object]] = []
    while not found or "exit" not in found[-1]:
        frame: Frame = receiver.receive(20)
        found.append(frame.value)
    return found


def running(process: subprocess.Popen[bytes]) -> int:
    """Wait for a command's "running PID"; the pid on the server."""
    assert process.stdout is not None
    word, pid = process.stdout.readline().split()
    assert word == b"running"
    return int(pid)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
