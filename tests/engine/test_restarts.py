"""Restarts beside people and deaths: what was stopped stays so, and no policy is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paas.engine.container import Container, Restarts, State
from paas.engine.policy import RestartPolicy
from paas.engine.restarts import Restarts as Keeper
from paas.engine.runtime import RuntimeFailed
from paas.host.waiting import wait_until
from tests.engine.machine import SECONDS, Machine
from tests.engine.test_containers_life import _broken, _Patient
from tests.killing import die, forked

ONCE = "[ -e /again ] && exec sleep 600; touch /again; exit 1"
"""Ends by itself, and would not the next time."""

ENDS: dict[str, Callable[[Machine, str], object]] = {
    "stop": lambda machine, container: machine.containers.stop(container, 0.1),
    "kill": lambda machine, container: machine.containers.kill(container),
}


@contextmanager
def ended(machine: Machine, **more: Any) -> Iterator[Container]:
    """A container that has ended, and whose policy wants it to run."""
    policy = RestartPolicy.parse("always")
    with machine.running("sh", "-c", ONCE, restart=policy, **more) as container:
        machine.ended(container.id)
        yield container


def keeper_of(machine: Machine) -> Keeper:
    return Keeper(machine.bundler, machine.containers, _Patient())


def somebody_waits_for_a_lock() -> bool:
    """proc(5), /proc/locks: `->` is before who is blocked."""
    waiting = [line.split()[1:] for line in Path("/proc/locks").read_text().splitlines()]
    return any(line[:2] == ["->", "FLOCK"] and line[4] == f"{os.getpid()}" for line in waiting)


# -- ended on purpose ------------------------------------------------------------------------


@pytest.mark.parametrize("end", list(ENDS))
def test_what_is_ended_just_before_its_restart_stays_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    with ended(machine) as container:
        again = machine.containers.start_again

        def ended_meanwhile(container_id: str, failures: int) -> None:
            ENDS[end](machine, container_id)
            again(container_id, failures)

        monkeypatch.setattr(machine.containers, "start_again", ended_meanwhile)
        keeper_of(machine).start(container.id)
        assert machine.containers.status(container.id).state is State.EXITED
        assert keeper_of(machine).look().due == ()


@pytest.mark.parametrize("end", list(ENDS))
def test_what_is_ended_in_the_midst_of_its_restart_ends(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    with ended(machine) as container:
        ending = threading.Thread(target=ENDS[end], args=(machine, container.id))
        address = machine.bundler.give_address

        def ended_meanwhile(*arguments: Any) -> object:
            ending.start()
            assert wait_until(lambda: not ending.is_alive() or somebody_waits_for_a_lock(), SECONDS)
            return address(*arguments)

        monkeypatch.setattr(machine.bundler, "give_address", ended_meanwhile)
        keeper_of(machine).start(container.id)
        ending.join()
        assert machine.containers.wait(container.id, SECONDS).state is State.EXITED
        assert keeper_of(machine).look().due == ()


def test_what_was_stopped_when_it_could_not_start_stays_so_behind_a_recovery(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ended(machine) as container:
        with monkeypatch.context() as patch:
            patch.setattr(machine.bundler, "runtime", _broken(machine))
            with pytest.raises(RuntimeFailed):
                keeper_of(machine).start(container.id)
        assert keeper_of(machine).look().due == (container.id,)
        machine.containers.stop(container.id)
        machine.containers.recover()
        assert keeper_of(machine).look().due == ()
        machine.containers.start(container.id)
        assert keeper_of(machine).look().running == (container.id,)


# -- killed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("recovered", [False, True])
@pytest.mark.parametrize("step", ["Launcher.run", "invoke"])
def test_a_policy_survives_who_is_killed_before_it_runs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, step: str, recovered: bool
) -> None:
    """When the runtime has created it, and when that is about to start it."""

    def restart() -> None:
        monkeypatch.setattr(f"paas.engine.launch.{step}", lambda *_: die())
        machine.containers.start_again(container.id, 1)

    with ended(machine) as container:
        assert os.WIFSIGNALED(os.waitpid(forked(restart), 0)[1])
        if recovered:
            machine.containers.recover()
            assert machine.bundler.bundles.of(container.id).live() is None
        keeper = keeper_of(machine)
        assert keeper.look().due == (container.id,)
        keeper.start(container.id)
        assert keeper.look().running == (container.id,)
        assert machine.containers.status(container.id).state is State.RUNNING


def test_what_runs_again_is_left_alone_when_who_started_it_is_gone(machine: Machine) -> None:
    with ended(machine) as container:
        starting = forked(lambda: machine.containers.start_again(container.id, 1))
        assert os.waitpid(starting, 0)[1] == 0
        before = machine.containers.status(container.id)
        machine.containers.recover()
        assert before.state is State.RUNNING
        assert machine.containers.status(container.id) == before


def test_what_is_being_started_again_is_left_to_who_does_it(machine: Machine) -> None:
    with ended(machine) as container:
        bundle = machine.bundler.bundles.of(container.id)
        machine.containers._launcher.create_again(bundle, Restarts())
        machine.containers.recover()
        assert machine.containers.status(container.id).state is State.CREATED
        assert keeper_of(machine).look().due == ()
