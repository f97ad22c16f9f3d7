"""The master's own life: one at a time, killed, stopped, started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from paas.host.commandgroups import CommandGroups
from tests.engine.daemon.daemon import (
    CHECKOUT,
    CLIENT,
    ENV,
    Daemon,
    alive,
    kill,
    running,
)
from tests.push.outcome import eventually


def lives(daemon: Daemon) -> list[int]:
    """The process ids the supervisor has had."""
    file = daemon.layout.root / "lives"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_second_master_is_refused_and_the_first_serves_on(fresh: Daemon) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "tests.engine.daemon.served", str(fresh.layout.root)],
        capture_output=True, text=True, cwd=CHECKOUT, env=ENV, timeout=60,
    )  # fmt: skip
    assert second.returncode != 0
    assert f"A paasd serves {fresh.layout.root} already" in second.stderr
    assert f"process {fresh.process.pid}" in second.stderr
    assert fresh.run("echo").returncode == 0


def test_a_killed_master_takes_its_commands_along_and_a_new_one_starts(
    fresh: Daemon, tmp_path: Path
) -> None:
    with (
        fresh.popen("wait", str(tmp_path / "end")) as client,
        fresh.popen("leave-behind-and-wait") as other,
    ):
        pid = running(client)
        assert other.stdout is not None
        left = int(other.stdout.readline())
        eventually(lambda: lives(fresh))
        fresh.process.kill()
        assert client.wait(60) == 70
        assert client.stderr is not None
        assert b"paasd stopped before the command was done" in client.stderr.read()
        other.wait(60)
    eventually(lambda: not alive(pid) and not alive(lives(fresh)[0]))
    assert not (tmp_path / "end").exists()  # killed, not asked
    # Nobody was left to kill what the command had started: the next master does.
    assert alive(left)
    assert fresh.layout.socket.exists()
    fresh.restart()
    assert not alive(left)
    assert fresh.run("echo", "again").stdout == b"root root again\n"


def test_a_file_in_the_place_of_the_socket_is_replaced(fresh: Daemon) -> None:
    fresh.process.kill()
    fresh.process.wait()
    fresh.layout.socket.unlink()
    fresh.layout.socket.write_text("no socket")
    fresh.restart()
    assert fresh.run("echo").returncode == 0


def test_a_client_waits_for_a_master_that_is_starting(
    fresh: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the processor is busy Python alone may take longer than the time that it waits.
    text, patient = CLIENT.read_text(), tmp_path / "client.py"
    patient.write_text(text.replace("RESTART_SECONDS = 3.0", "RESTART_SECONDS = 100.0"))
    assert patient.read_text() != text
    monkeypatch.setattr("tests.engine.daemon.daemon.CLIENT", patient)
    fresh.process.kill()
    fresh.process.wait()
    with fresh.popen("echo", "patient") as client:
        fresh.restart()
        assert client.communicate(timeout=100)[0] == b"root root patient\n"
        assert client.returncode == 0


def test_stopping_asks_the_commands_and_leaves_no_process(fresh: Daemon, tmp_path: Path) -> None:
    eventually(lambda: lives(fresh))
    with fresh.popen("wait", str(tmp_path / "end")) as client:
        pid = running(client)
        assert fresh.stop() == 0
        assert client.wait(60) == 143
    assert (tmp_path / "end").read_text() == "SystemExit(143)"
    assert not alive(pid)
    assert not alive(lives(fresh)[0])
    assert CommandGroups.of(fresh.layout).group("").processes() == []


def test_the_supervisor_is_started_again_and_again(fresh: Daemon) -> None:
    for count in (1, 2, 3):
        eventually(lambda count=count: len(lives(fresh)) == count)
        kill(lives(fresh)[-1])
    assert "supervisor ended with -9; again in 0.2 s" in fresh.log.read_text()
    eventually(lambda: "again in 0.4 s" in fresh.log.read_text())
    assert fresh.run("echo").returncode == 0


def test_the_master_has_one_thread_and_waits_without_work(fresh: Daemon) -> None:
    fresh.run("echo")
    proc = Path(f"/proc/{fresh.process.pid}")
    assert len(list((proc / "task").iterdir())) == 1
    eventually(lambda: (proc / "wchan").read_text() in ("do_epoll_wait", "ep_poll", "0"))


def test_descriptors_do_not_pile_up(fresh: Daemon) -> None:
    """Over commands that end well, are killed, are garbage, and clients that vanish."""
    fresh.run("echo")
    before = at_rest(fresh.process.pid)
    for _ in range(3):
        fresh.run("echo")
        fresh.run("kill-yourself", "9")
        with fresh.connect() as connection:
            connection.sendall(b"garbage!")
        with fresh.connect():
            pass
    eventually(lambda: at_rest(fresh.process.pid) == before)


def at_rest(pid: int) -> int:
    """How many descriptors a master has once nobody sweeps behind an ended command any more."""
    seen: list[tuple[int, int]] = []

    def unchanged() -> bool:
        seen.append((children(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        return seen[-20:] == [(2, seen[-1][1])] * 20

    eventually(unchanged)
    return seen[-1][1]


def children(pid: int) -> int:
    """How many a process has: the supervisor and the one that waits for a command."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_too_many_at_a_time_are_told_so(fresh: Daemon) -> None:
    """Nothing is read before somebody speaks, so silent connections count too."""
    connections = [socket.socket(socket.AF_UNIX) for _ in range(256)]
    try:
        for connection in connections:
            connection.connect(str(fresh.layout.socket))
        done = fresh.run("echo")
        assert done.returncode == 75
        assert b"256 commands are running; try again later" in done.stderr
    finally:
        for connection in connections:
            connection.close()
    eventually(lambda: fresh.run("echo").returncode == 0)


def test_hang_up_stops_a_master_in_a_terminal(fresh: Daemon) -> None:
    fresh.process.send_signal(signal.SIGHUP)
    assert fresh.process.wait(20) == 0
