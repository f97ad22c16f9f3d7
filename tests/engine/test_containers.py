"""Containers that outlive their creator: failures first, then their whole life."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paas.engine.bundler import ContainerExists
from paas.engine.container import ContainerNotFound, ExitStatus, State
from paas.engine.containers import Containers
from paas.engine.inside import CommandNotExecutable, CommandNotFound
from paas.engine.resources import host_facts
from paas.engine.runtime import Runtime, RuntimeFailed, Runtimes
from paas.engine.spec import EnvironmentTooLarge, Mount
from paas.engine.users import NoSuchUser
from paas.errors import PaasError
from paas.model.limits import MIB, Limits
from tests.engine.machine import SECONDS, Machine, end_sleep
from tests.push.outcome import eventually

# -- what cannot be created ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"args": ("no-such-command",)}, CommandNotFound, "no command no-such-command"),
        ({"args": ("/no/such",)}, CommandNotFound, "/no/such"),
        ({"args": ("/etc/passwd",)}, CommandNotExecutable, "/etc/passwd"),
        ({"args": ("/bin",)}, CommandNotExecutable, "/bin"),
        ({"user": "nobody-here"}, NoSuchUser, "nobody-here"),
        ({"env": {"BIG": "x" * 200_000}}, EnvironmentTooLarge, "BIG"),
        ({"mounts": (Mount(Path("/no/such/source"), "/data"),)}, RuntimeFailed, "not be started"),
    ],
)
def test_a_container_that_cannot_be_created_leaves_nothing(
    machine: Machine, more: dict[str, Any], error: type[PaasError], said: str
) -> None:
    spec = machine.spec(*more.pop("args", ("sleep", "60")), **more)
    with pytest.raises(error, match=said):
        machine.containers.create(spec)
    assert machine.traces() == []


def test_the_runtimes_own_words_are_told(machine: Machine) -> None:
    spec = machine.spec("sleep", "60", mounts=(Mount(Path("/no/such/source"), "/data"),))
    with pytest.raises(RuntimeFailed) as caught:
        machine.containers.create(spec)
    assert "/no/such/source" in str(caught.value)


def test_a_runtime_that_is_not_installed_is_passed_over(machine: Machine) -> None:
    facts = host_facts(machine.cgroups, "x", {})
    trial = Runtimes(machine.layout, machine.cgroups).trial
    assert "is not installed" in (trial(Runtime("crun-that-is-not", "/nowhere"), facts) or "")


def test_an_id_is_used_once(machine: Machine) -> None:
    with machine.running("sleep", "60") as container:
        with pytest.raises(ContainerExists):
            machine.containers.create(machine.spec("sleep", "60", id=container.id))
        # The refusal did no harm to the one that is there.
        assert machine.containers.status(container.id).state is State.RUNNING


def test_an_absent_container_is_said_to_be_absent(machine: Machine) -> None:
    for act in (
        machine.containers.get,
        machine.containers.status,
        machine.containers.start,
        machine.containers.stop,
        machine.containers.watch,
    ):
        with pytest.raises(ContainerNotFound):
            act("nobody")
    machine.containers.remove("nobody")


# -- how it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_kept(machine: Machine, command: str, code: int) -> None:
    with machine.running("sh", "-c", command) as container:
        status = machine.ended(container.id)
        assert (status.state, status.exit_code, status.oom_killed) == (State.EXITED, code, False)


def test_out_of_memory_is_told(machine: Machine) -> None:
    limits = Limits(memory_bytes=32 * MIB)
    with machine.running("tail", "/dev/zero", limits=limits) as container:
        status = machine.ended(container.id)
        assert (status.exit_code, status.oom_killed) == (137, True)


def test_a_fork_bomb_is_contained_and_removed(machine: Machine) -> None:
    limits = Limits(pids=40)
    # busybox's shell gives up when it cannot fork; exec needs no fork.
    bomb = "sh -c 'while :; do sleep 600 & done'; exec sleep 600"
    with machine.running("sh", "-c", bomb, limits=limits) as container:
        machine.wait_for_line(container.id, "can't fork")
        group = machine.cgroups.instance(container.id)
        assert 0 < len(group.processes()) <= 40
        before = time.monotonic()
        machine.containers.remove(container.id)
        assert time.monotonic() - before < 60
        assert group.processes() == []


def test_stop_gives_grace_then_kills(machine: Machine) -> None:
    polite = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with machine.running("sh", "-c", polite) as container:
        machine.wait_for_line(container.id, "ready")
        assert machine.containers.stop(container.id, SECONDS) == ExitStatus(3)
        assert machine.log_of(container.id)[-1] == "bye"
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    with machine.running("sh", "-c", deaf) as container:
        machine.wait_for_line(container.id, "ready")
        assert machine.containers.stop(container.id, 0.2) == ExitStatus(137, forced=True)


def test_stop_uses_the_stop_signal(machine: Machine) -> None:
    command = "trap 'exit 9' QUIT; echo ready; while :; do sleep 0.05; done"
    with machine.running("sh", "-c", command, stop_signal="SIGQUIT") as container:
        machine.wait_for_line(container.id, "ready")
        assert machine.containers.stop(container.id).exit_code == 9


def test_stopping_what_was_never_started_ends_it_at_once(machine: Machine) -> None:
    with machine.created(machine.spec("sleep", "60")) as container:
        assert machine.containers.status(container.id).state is State.CREATED
        machine.containers.stop(container.id, 3600)
        assert machine.containers.status(container.id).state.has_ended


def test_watch_of_what_has_ended_is_readable_at_once(machine: Machine) -> None:
    with machine.running("true") as container:
        machine.ended(container.id)
        machine.ended(container.id)


# -- what others see of it -------------------------------------------------------------------


def test_it_outlives_its_creator_and_is_adopted(machine: Machine) -> None:
    spec = machine.spec("sh", "-c", "sleep 600; exit 5", labels={"paas.app": "7"})
    _in_child(lambda: (machine.containers.create(spec), machine.containers.start(spec.id)))
    adopted = Containers(machine.bundler, machine.storage.images, machine.clock)
    try:
        assert adopted.recover() == []
        (container,) = adopted.list()
        assert (container.id, container.labels, container.owner) == (
            spec.id,
            {"paas.app": "7"},
            "app:1",
        )
        assert adopted.status(spec.id).state is State.RUNNING
        eventually(lambda: end_sleep(machine.cgroups, spec.id))
        assert machine.ended(spec.id).exit_code == 5
    finally:
        adopted.remove(spec.id)


def test_a_killed_monitor_is_noticed(machine: Machine) -> None:
    with machine.running("sleep", "60") as container:
        (pid,) = machine.cgroups.monitor(container.id).processes()
        os.kill(pid, signal.SIGKILL)
        status = machine.ended(container.id)
        assert (status.state, status.exit_code) == (State.LOST, None)
    assert machine.cgroups.instance(container.id).processes() == []


def test_the_monitor_has_left_the_group_and_session_of_its_creator(machine: Machine) -> None:
    with machine.running("sleep", "60") as container:
        (pid,) = machine.cgroups.monitor(container.id).processes()
        assert os.getsid(pid) != os.getsid(0)
        theirs = Path(f"/proc/{pid}/cgroup").read_text()
        assert f"/{machine.layout.id}/monitors" in theirs
        links = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert not any(str(machine.storage.db.path) in link for link in links)


def test_standard_output_can_be_reopened_by_name(machine: Machine) -> None:
    command = "echo one >/dev/stdout; echo two >/dev/stderr; cat"
    with machine.running("sh", "-c", command, user="web") as container:
        # And standard input is at its end.
        assert machine.ended(container.id).exit_code == 0
        assert machine.log_of(container.id) == ["one", "two"]


def test_the_hosts_null_device_stays_the_hosts(machine: Machine) -> None:
    with machine.running("true") as container:
        machine.ended(container.id)
    assert Path("/dev/null").stat().st_uid == 0


def test_private_containers_have_their_name_and_address(machine: Machine) -> None:
    command = "hostname; cat /etc/hosts /etc/resolv.conf; ip -4 -o addr show dev eth0"
    with machine.running("sh", "-c", command, hostname="shop-web-1") as container:
        assert machine.ended(container.id).exit_code == 0
        text = "\n".join(machine.log_of(container.id))
        assert text.startswith("shop-web-1\n")
        assert f"{container.address}\tshop-web-1" in text
        assert f"{container.address}/32" in text
        assert f"nameserver {machine.network.plan.resolver}" in text


# -- what others left ----------------------------------------------------------------------


def test_what_a_restart_of_the_machine_left_on_disk_is_reaped(machine: Machine) -> None:
    machine.storage.layers.prepare()
    left = machine.layout.engine_fs / "u" / "gone" / "upper"
    left.mkdir(parents=True)
    assert machine.containers.recover() == ["gone"]
    assert not left.exists()


def _in_child(act: Callable[[], object]) -> int:
    """Run `act` in a process of its own; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
