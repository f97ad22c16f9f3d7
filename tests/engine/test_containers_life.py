"""Pausing, starting again, attaching, probing: failures first."""

from __future__ import annotations

import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paas.engine.attach import Attachments, InvalidKeys
from paas.engine.config import Healthcheck
from paas.engine.container import ContainerNotFound, State, Status
from paas.engine.containers import WrongState
from paas.engine.healthcheck import Condition
from paas.engine.observe import Ambiguous, Observer
from paas.engine.policy import RestartPolicy
from paas.engine.probes import Probes
from paas.engine.restarts import Restarts
from paas.engine.runtime import RuntimeFailed
from paas.engine.streams import set_window
from paas.engine.top import Process
from paas.host.clock import SystemClock
from paas.host.terminal import Terminal
from paas.host.waiting import wait_until
from tests.engine.machine import SECONDS, Machine
from tests.engine.test_foreground import Channel
from tests.killing import forked
from tests.push.outcome import eventually

# -- pausing ---------------------------------------------------------------------------------


def test_only_what_runs_is_paused_and_only_what_is_paused_goes_on(machine: Machine) -> None:
    with machine.created(machine.spec("sleep", "60")) as container:
        with pytest.raises(WrongState, match="created and cannot be paused"):
            machine.containers.pause(container.id)
        machine.containers.start(container.id)
        with pytest.raises(WrongState, match="running and cannot be unpaused"):
            machine.containers.unpause(container.id)
    with pytest.raises(ContainerNotFound):
        machine.containers.pause("nobody")


def test_paused_it_does_nothing_and_takes_nothing_in(machine: Machine) -> None:
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
    with machine.running("sh", "-c", count) as container:
        machine.wait_for_line(container.id, "3")
        machine.containers.pause(container.id)
        assert machine.containers.status(container.id).state is State.PAUSED
        still = unchanging(machine, container.id)
        with pytest.raises(WrongState, match="paused"):
            machine.exec(container.id, "true")
        assert machine.log_of(container.id) == still
        machine.containers.unpause(container.id)
        machine.wait_for_line(container.id, str(len(still) + 3))


def unchanging(machine: Machine, container: str) -> list[str]:
    """Its log, once the monitor, which goes on, has written what had been said."""
    looks: list[list[str]] = []

    def unchanged() -> bool:
        looks.append(machine.log_of(container))
        return looks[-3:] == [looks[-1]] * 3

    eventually(unchanged)
    return looks[-1]


@pytest.mark.parametrize("end", ["stop", "kill", "remove"])
def test_what_is_paused_can_be_ended(machine: Machine, end: str) -> None:
    command = "echo up; exec sleep 600"
    with machine.running("sh", "-c", command, stop_timeout=600.0) as container:
        # Before the init listens, a signal means nothing to it (pid_namespaces(7)).
        machine.wait_for_line(container.id, "up")
        machine.containers.pause(container.id)
        before = time.monotonic()
        getattr(machine.containers, end)(container.id)
        if end != "remove":
            assert machine.containers.wait(container.id, SECONDS).state is State.EXITED
        assert time.monotonic() - before < 60


# -- again -----------------------------------------------------------------------------------


def test_what_runs_is_not_started_again(machine: Machine) -> None:
    with (
        machine.running("sleep", "60") as container,
        pytest.raises(WrongState, match="running and cannot be started"),
    ):
        machine.containers.start(container.id)


def test_started_again_it_keeps_its_files_and_address(machine: Machine) -> None:
    command = "cat /count 2>/dev/null; echo again >> /count; ip -4 -o addr show dev eth0; sleep 60"
    with machine.running("sh", "-c", command) as container:
        machine.wait_for_line(container.id, "inet")
        first = machine.containers.get(container.id)
        machine.containers.restart(container.id, 0.2)
        wait_until(lambda: len(machine.log_of(container.id)) >= 3, SECONDS)
        second = machine.containers.get(container.id)
        assert second.address == first.address
        assert second.pid != first.pid
        lines = machine.log_of(container.id)
        assert lines[1] == "again"
        assert lines[0] == lines[2]
        assert machine.containers.status(container.id).state is State.RUNNING
        assert machine.run("ping", "-c", "1", "-W", "1", str(first.address)).code != 0


def test_a_start_that_fails_again_can_be_repeated(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine.running("true") as container:
        machine.ended(container.id)
        with monkeypatch.context() as patch:
            patch.setattr(machine.bundler, "runtime", _broken(machine))
            with pytest.raises(RuntimeFailed):
                machine.containers.start(container.id)
        machine.containers.start(container.id)
        assert machine.ended(container.id).exit_code == 0


# -- restart policies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code", "starts"),
    [("no", 1, 1), ("on-failure", 0, 1), ("on-failure:2", 1, 3), ("always", 0, 4)],
)
def test_what_a_policy_starts_again(machine: Machine, policy: str, code: int, starts: int) -> None:
    spec = machine.spec("sh", "-c", f"echo up; exit {code}", restart=RestartPolicy.parse(policy))
    with machine.created(spec) as container:
        machine.containers.start(container.id)
        restarts = Restarts(machine.bundler, machine.containers, _Patient())
        for _ in range(4):
            machine.ended(container.id)
            before = len(machine.log_of(container.id))
            for due in restarts.look().due:
                restarts.start(due)
            if before == 4:
                break
        assert len(machine.log_of(container.id)) >= min(starts, 4) - 1
        machine.containers.stop(container.id)
        assert min(machine.log_of(container.id).count("up"), 4) == starts


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_ended_on_purpose_stays_so(machine: Machine, end: str) -> None:
    with machine.running("sleep", "60", restart=RestartPolicy("always")) as container:
        restarts = Restarts(machine.bundler, machine.containers, machine.clock)
        assert restarts.look().running == (container.id,)
        getattr(machine.containers, end)(container.id)
        machine.ended(container.id)
        assert restarts.look().due == ()
        machine.containers.start(container.id)
        assert restarts.look().running == (container.id,)


def test_it_waits_longer_each_time_and_says_until_when(machine: Machine) -> None:
    spec = machine.spec("sh", "-c", "exit 1", restart=RestartPolicy("always"))
    with machine.created(spec) as container:
        machine.containers.start(container.id)
        restarts = Restarts(machine.bundler, machine.containers, _Still())
        machine.ended(container.id)
        (due,) = restarts.look().due
        restarts.start(due)
        machine.ended(container.id)
        outlook = restarts.look()
        assert outlook.due == ()
        assert outlook.next_due == _Still().monotonic() + 1
        assert restarts.look() == outlook


class _Still(SystemClock):
    """It stands, however long the test takes."""

    def monotonic(self) -> float:
        return 1000.0


class _Patient:
    """A clock that says each time that a day has passed: no wait is left."""

    def __init__(self) -> None:
        self._days = 0.0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        self._days += 86400.0
        return self._days

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


# -- attaching -------------------------------------------------------------------------------


def test_keys_that_are_none_and_one_offs_cannot_be_attached(machine: Machine) -> None:
    with _person() as (terminal, _), machine.running("sleep", "60") as container:
        with pytest.raises(InvalidKeys, match="ctrl-"):
            _attachments(machine).attach(container.id, terminal, keys="control-p")
        machine.containers.stop(container.id, 0)
        with pytest.raises(WrongState, match="exited, not running"):
            _attachments(machine).attach(container.id, terminal)


def test_attached_to_a_terminal_of_its_own(machine: Machine) -> None:
    spec = machine.spec("sh", terminal=True, stdin=True)
    with machine.created(spec) as container, _person(111, 22) as (terminal, person):
        machine.containers.start(container.id)
        os.write(person, b"stty size 2>/dev/null || echo $(busybox stty size)\n")
        os.write(person, b"tty=$(busybox tty); echo on:$tty; exit 5\n")
        status = _attachments(machine).attach(container.id, terminal)
        assert status is not None
        assert (status.state, status.exit_code) == (State.EXITED, 5)
        said = _read(person, b"on:/dev/")
        assert b"22 111" in said
        assert b"on:/dev/" in said


def test_the_keys_detach_and_leave_it_running(machine: Machine) -> None:
    spec = machine.spec(
        "sh", "-c", "read line; echo got $line; sleep 60", terminal=True, stdin=True
    )
    with machine.created(spec) as container, _person() as (terminal, person):
        machine.containers.start(container.id)
        os.write(person, b"\x10word\n\x10\x11")
        assert _attachments(machine).attach(container.id, terminal) is None
        machine.wait_for_line(container.id, "word")
        assert machine.containers.status(container.id).state is State.RUNNING
        os.write(person, b"q")
        assert _attachments(machine).attach(container.id, terminal, keys="q") is None


def test_without_a_terminal_both_streams_come_apart(machine: Machine) -> None:
    command = "read line; echo out $line; echo err >&2; exit 4"
    with machine.created(machine.spec("sh", "-c", command, stdin=True)) as container:
        machine.containers.start(container.id)
        ends: list[Status | None] = []

        def attach(one: int, two: int, three: int) -> Any:
            terminal = Terminal(one, two, three, Channel())
            ends.append(_attachments(machine).attach(container.id, terminal))
            return _Code(0)

        output = machine.on_pipes(attach, b"hello\n")
        assert (output.stdout, output.stderr) == (b"out hello\n", b"err\n")
        assert ends[0] is not None
        assert ends[0].exit_code == 4


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("stdin", [False, True])
def test_the_hosts_devices_stay_the_hosts(machine: Machine, terminal: bool, stdin: bool) -> None:
    with machine.running("true", terminal=terminal, stdin=stdin) as container:
        machine.ended(container.id)
    assert Path("/dev/null").stat().st_uid == 0


def test_what_has_no_input_is_only_watched(machine: Machine) -> None:
    def start() -> None:
        eventually(lambda: machine.events("attach"))
        machine.containers.start(container.id)

    with machine.created(machine.spec("echo", "later")) as container:
        starting = forked(start)
        output = machine.on_pipes(
            lambda *streams: _Code(
                _attachments(machine).attach(container.id, Terminal(*streams, Channel())) is None
            )
        )
        assert os.waitpid(starting, 0)[1] == 0
        assert (output.code, output.stdout) == (0, b"later\n")


class _Code(int):
    oom_killed = False


# -- health ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "condition"),
    [
        (("CMD", "nothing-here"), Condition.UNHEALTHY),
        (("CMD-SHELL", "echo bad; exit 1"), Condition.UNHEALTHY),
        (("CMD-SHELL", "sleep 60"), Condition.UNHEALTHY),
        (("CMD-SHELL", "echo fine $WORD"), Condition.HEALTHY),
    ],
)
def test_what_a_probe_finds(machine: Machine, test: tuple[str, ...], condition: Condition) -> None:
    check = Healthcheck(test, timeout=0.3 if "sleep 60" in test else SECONDS, retries=1)
    with machine.running("sleep", "60", healthcheck=check, env={"WORD": "w"}) as container:
        probes = Probes(machine.bundler, machine.containers, machine.foreground, machine.clock)
        assert [name for _, name in probes.due()] == [container.id]
        health = probes.probe(container.id)
        assert health is not None
        assert health.condition is condition
        assert probes.health(container.id) == health
        if condition is Condition.HEALTHY:
            assert health.output == "fine w\n"
        machine.containers.pause(container.id)
        assert probes.probe(container.id) == health
    assert [event.attributes for event in machine.events("health_status")] == [
        {"status": condition.value}
    ]


def test_a_command_of_an_image_with_a_shell_of_its_own_is_for_that_one(machine: Machine) -> None:
    check = Healthcheck(("CMD-SHELL", "exit 1"))
    image = machine.make_image(healthcheck=check, shell=("/bin/echo", "run:"))
    with machine.running("sleep", "60", image=image.id) as container:
        probes = Probes(machine.bundler, machine.containers, machine.foreground, machine.clock)
        health = probes.probe(container.id)
        assert health is not None
        assert (health.condition, health.output) == (Condition.HEALTHY, "run: exit 1\n")


def test_the_images_own_healthcheck_is_used(machine: Machine) -> None:
    image = machine.make_image(healthcheck=Healthcheck(("CMD", "true")))
    with machine.running("sleep", "60", image=image.id) as container:
        probes = Probes(machine.bundler, machine.containers, machine.foreground, machine.clock)
        health = probes.probe(container.id)
        assert health is not None
        assert health.condition is Condition.HEALTHY
    with machine.running("sleep", "60") as container:
        assert probes.probe(container.id) is None


# -- looking ---------------------------------------------------------------------------------


def test_the_journal_tells_a_life(machine: Machine) -> None:
    spec = machine.spec("sh", "-c", "exit 3", env={"PASSWORD": "hunter2"})
    with machine.created(spec) as container:
        machine.containers.start(container.id)
        machine.containers.wait(container.id)
        machine.containers.settle(container.id)
    machine.run("true", id="one-off")
    told = [(event.action, event.attributes.get("exit_code")) for event in machine.events()]
    life = [("create", None), ("start", None), ("die", "3"), ("destroy", None)]
    assert told == [*life, *life[:2], ("die", "0"), ("destroy", None)]
    assert "hunter2" not in str(machine.events())


def test_a_container_is_found_by_a_part_of_its_id(machine: Machine) -> None:
    observer = _observer(machine)
    with (
        machine.running("sleep", "60", id="aa11", hostname="shop-web-1"),
        machine.running("sleep", "60", id="aa22"),
    ):
        with pytest.raises(Ambiguous):
            observer.find("aa")
        with pytest.raises(ContainerNotFound):
            observer.find("")
        assert observer.find("aa1") == "aa11"
        assert observer.find("shop-web-1") == "aa11"


def test_inspecting_shows_no_secret(machine: Machine) -> None:
    with machine.running("sleep", "60", env={"PASSWORD": "hunter2"}) as container:
        document = _observer(machine).inspect(container.id)
        assert "hunter2" not in str(document)
        assert "PASSWORD=[REDACTED]" in document["Config"]["Env"]
        assert document["State"]["Status"] == "running"
        assert document["Limits"]["pids"] == {"limit": 512}


def test_its_processes_are_seen_from_outside(machine: Machine) -> None:
    command = "sleep 61 & exec sleep 62"
    with machine.running("sh", "-c", command, user="web") as container:
        observer = _observer(machine)
        wanted = {"/dev/init -- sh -c " + command, "sleep 61", "sleep 62"}

        def look() -> dict[str, Process]:
            return {process.command: process for process in observer.top(container.id)}

        wait_until(lambda: set(look()) == wanted, SECONDS)
        found = look()
        assert set(found) == wanted
        assert found["sleep 62"].inner_uid == 1000
        assert {process.inner_pid for process in found.values()} >= {1, 2}


def test_what_it_uses_is_counted(machine: Machine) -> None:
    count = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    command = f"dd if=/dev/zero of=/dev/shm/x bs=1M count=20; {count}; echo done; sleep 60"
    with machine.running("sh", "-c", command) as container:
        machine.wait_for_line(container.id, "done")
        machine.run("ping", "-c", "1", "-W", "1", str(container.address))
        used = _observer(machine).stats(container.id)
        assert used.cpu_seconds
        assert used.memory_bytes
        assert used.memory_bytes > 20 << 20
        assert used.memory_limit_bytes == 512 << 20
        assert (used.pids, used.pids_limit) == (2, 512)
        assert used.network_sent_bytes is not None
        assert used.io_read_bytes is not None
        assert used.oom_kills == 0


def _observer(machine: Machine) -> Observer:
    probes = Probes(machine.bundler, machine.containers, machine.foreground, machine.clock)
    return Observer(machine.bundler, machine.containers, probes)


def _attachments(machine: Machine) -> Attachments:
    return Attachments(machine.bundler, machine.containers)


def _broken(machine: Machine) -> Any:
    """The runtime, in a state directory that cannot be."""
    return replace(machine.bundler.runtime, state="/proc/nowhere")


def _read(descriptor: int, until: bytes) -> bytes:
    said = b""
    deadline = threading.Timer(SECONDS, os._exit, [99])
    deadline.start()
    while until not in said.replace(b"echo " + until, b""):
        said += os.read(descriptor, 65536)
    deadline.cancel()
    return said


@contextmanager
def _person(columns: int = 80, rows: int = 24) -> Iterator[tuple[Terminal, int]]:
    """Somebody's terminal, and the side that he types on."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    set_window(slave, columns, rows)
    try:
        yield Terminal(slave, slave, slave, Channel()), master
    finally:
        os.close(master)
        os.close(slave)
