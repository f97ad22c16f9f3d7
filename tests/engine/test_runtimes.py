"""The same life by either OCI runtime, whichever of them this host would choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.container import State
from paas.engine.resources import host_facts
from paas.engine.runtime import Runtime, Runtimes
from paas.model.limits import MIB, Limits
from tests.engine.machine import Machine

SCRIPT = "trap 'exit 5' TERM; echo up $A; while :; do sleep 0.1; done"


@pytest.fixture(params=["crun", "runc"])
def by(
    request: pytest.FixtureRequest, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    """The engine with that runtime, called as it works here."""
    runtimes = Runtimes(machine.layout, machine.cgroups)
    facts = host_facts(machine.cgroups, "probe", machine.bundler._seccomp)
    known = [one for one in runtimes.candidates() if one.program == request.param]
    runtime: Runtime = next(one for one in known if runtimes.trial(one, facts) is None)
    monkeypatch.setattr(machine.bundler, "runtime", runtime)
    return machine


def test_what_fails_is_told_in_its_words(by: Machine) -> None:
    assert by.run("tail", "/dev/zero", limits=Limits(memory_bytes=24 * MIB)).oom_killed
    assert by.run("sh", "-c", "exit 7").code == 7
    assert by.run("sh", "-c", "mount -t tmpfs none /tmp || mknod /x b 8 0").code != 0
    assert by.run("true").code == 0
    with by.running("sleep", "60") as container:
        assert by.exec(container.id, "sh", "-c", "exit 9").code == 9


def test_a_life(by: Machine) -> None:
    limits = Limits(memory_bytes=64 * MIB, cpus=0.5, cpu_weight=50, pids=77)
    more = {"env": {"A": "b"}, "user": "web", "limits": limits, "read_only": True}
    with by.running("sh", "-c", SCRIPT, tmpfs={"/run": MIB}, **more) as container:
        by.wait_for_line(container.id, "up b")
        assert by.exec(container.id, "id", "-u").text == "1000\n"
        place = by.cgroups.place("pids", container.id)
        assert place
        assert (place / "pids.max").read_text() == "77\n"
        by.containers.pause(container.id)
        assert by.containers.status(container.id).state is State.PAUSED
        by.containers.unpause(container.id)
        assert by.containers.stop(container.id).exit_code == 5
        by.containers.start(container.id)
        assert by.containers.status(container.id).state is State.RUNNING
        # Without its trap, which the second line tells of, PID 1 ignores what asks it to end.
        by.wait_for_line(container.id, "up b", times=2)
        assert by.containers.stop(container.id).exit_code == 5
    assert by.traces() == []


def test_a_terminal_and_streams(by: Machine) -> None:
    assert by.run("cat", stdin=b"through").text == "through"
    with by.running("sh", "-c", "[ -t 0 ] && echo tty", terminal=True, stdin=True) as container:
        assert by.ended(container.id).exit_code == 0
        assert by.log_of(container.id)[0].strip() == "tty"
    assert Path("/dev/null").stat().st_uid == 0
