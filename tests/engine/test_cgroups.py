"""Control groups on this machine's kernel."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host import processes
from paas.host.cgroup import Group
from paas.host.cgroups import Cgroups
from paas.host.commandgroups import FOLDER, LEAF, CommandGroups
from paas.host.files import remove_tree
from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.model.limits import MIB, Limits
from tests.engine.machine import Machine


@pytest.fixture(params=["detected", "version 2"])
def cgroups(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cgroups]:
    """What this machine has, and version 2 beside version 1 (there without controllers)."""
    found = Cgroups.detect(Layout.at(tmp_path))
    if request.param == "version 2" and "" in found.mounts:
        found = Cgroups(2, {"": found.mounts[""]}, found.base)
    yield found
    found.remove()


def test_nothing_is_left_of_the_subtree(cgroups: Cgroups) -> None:
    CommandGroups(cgroups).group("one").create()
    cgroups.monitor("two").create()
    cgroups.prepare()
    cgroups.remove()
    name = cgroups.base.strip("/")
    assert [mount for mount in cgroups.mounts.values() if (mount / name).exists()] == []


def test_all_controllers_limit_here(machine: Machine) -> None:
    assert {"cpu", "memory", "pids"} <= machine.cgroups.controllers


def test_a_fork_bomb_is_killed(cgroups: Cgroups) -> None:
    group = CommandGroups(cgroups).group("bomb")
    bomb = "while :; do sleep 60 & done"
    child = processes.spawn(["sh", "-c", f"ulimit -u 3000; {bomb}"], cgroup=group.create())
    deadline = time.monotonic() + 60
    while len(group.processes()) < 50 and time.monotonic() < deadline:
        time.sleep(0.005)
    group.remove()
    assert group.processes() == []
    # Killed, or faster than that: a shell that is not let fork any more gives up by itself.
    assert child.wait() in (-signal.SIGKILL, 2)


def hold(layout: Layout, *options: str) -> processes.Process:
    """Start the holder, and wait until it has said where it sits."""
    holder = processes.spawn(
        [sys.executable, "-m", "paas.engine.holder", str(layout.root), *options],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert wait_until((layout.run / "cgroup").exists, 60)
    assert (layout.run / "cgroup").read_text() == f"/{layout.id}\n"
    return holder


def test_the_holder_says_where_it_sits(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    holder = hold(layout)
    try:
        assert Cgroups.detect(layout).leaf("holder").processes() == [holder.pid]
    finally:
        holder.send_signal(signal.SIGTERM)
        assert holder.wait() == 0
        Cgroups.detect(layout).remove()
        remove_tree(layout.run)


def test_a_holder_that_forks_ends_when_its_child_holds(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    holder = hold(layout, "--fork")
    try:
        assert holder.wait() == 0
        [child] = Cgroups.detect(layout).leaf("holder").processes()
        assert child != holder.pid
        os.kill(child, signal.SIGTERM)
        assert wait_until(lambda: not Cgroups.detect(layout).leaf("holder").processes(), 60)
    finally:
        Cgroups.detect(layout).remove()
        remove_tree(layout.run)


def test_killing_an_absent_group_is_nothing(cgroups: Cgroups) -> None:
    commands = CommandGroups(cgroups)
    commands.kill("nobody")
    assert commands.group("nobody").processes() == []


def test_a_command_and_all_it_starts_is_killed(cgroups: Cgroups) -> None:
    commands = CommandGroups(cgroups)
    child = os.fork()
    if child == 0:
        commands.enter("deploy")
        processes.spawn(["sleep", "60"])
        signal.pause()
        os._exit(0)
    group = commands.group("deploy")
    deadline = time.monotonic() + 60
    while len(group.processes()) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(group.processes()) == 2
    commands.kill("deploy")
    assert group.processes() == []
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_command_that_eats_memory_dies_alone(cgroups: Cgroups) -> None:
    """A bomb in a pushed object ends its own command, and not what the kernel picks."""
    if "memory" not in cgroups.controllers:
        return  # version 2 beside version 1, which has taken the controller
    commands = CommandGroups(cgroups)
    # What a daemon does first: none of a predecessor's commands, and no limit less for it.
    cgroups.hand_down(FOLDER)
    commands.kill("")
    child = os.fork()
    if child == 0:
        commands.enter("deploy")
        hoard = [b"x" * (64 << 20) for _ in range(24)]
        os._exit(len(hoard))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert commands.group("deploy").oom_kills() == 1
    commands.kill("deploy")


def test_a_daemon_sits_beside_its_commands_and_ends_them_alone(cgroups: Cgroups) -> None:
    """As in a service of its own: version 2 has no process in a group with groups below."""
    commands = CommandGroups(cgroups)
    daemon = os.fork()
    if daemon == 0:
        cgroups.leaf(LEAF).enter()
        cgroups.hand_down(FOLDER)
        child = os.fork()
        if child == 0:
            commands.enter("one")
        signal.pause()
        os._exit(0)
    group = commands.group("one")
    deadline = time.monotonic() + 60
    while not group.processes() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert group.processes()
    commands.kill("")
    assert group.processes() == []
    assert cgroups.leaf(LEAF).processes() == [daemon]
    os.kill(daemon, signal.SIGKILL)
    os.waitpid(daemon, 0)


def test_a_spawned_process_is_never_outside(cgroups: Cgroups) -> None:
    group = cgroups.monitor("inside")
    child = processes.spawn(["sleep", "60"], cgroup=group.create())
    assert group.processes() == [child.pid]
    group.remove()
    assert child.wait() == -signal.SIGKILL


def test_limits_reach_the_kernel(machine: Machine) -> None:
    limits = Limits(memory_bytes=64 * MIB, pids=33, cpus=0.5, cpu_weight=50)
    with machine.running("sleep", "60", limits=limits) as container:
        group = machine.cgroups.instance(container.id)
        values = {
            path.name: path.read_text().strip()
            for directory in group.directories
            for path in directory.glob("*")
            if path.name in ("memory.max", "memory.limit_in_bytes", "pids.max", "cpu.max",
                             "cpu.cfs_quota_us", "cpu.shares", "cpu.weight")
        }  # fmt: skip
    assert values["pids.max"] == "33"
    assert str(64 * MIB) in (values.get("memory.max"), values.get("memory.limit_in_bytes"))
    assert values.get("cpu.max", values.get("cpu.cfs_quota_us")) in ("50000 100000", "50000")
    assert values.get("cpu.weight", values.get("cpu.shares")) in ("50", "512")


def test_limits_hold_again_for_what_was_moved_away(machine: Machine) -> None:
    """systemd does that with version 1 when it is executed again; with 2 it leaves them alone."""
    with machine.running("sh", "-c", "sleep 60 & wait") as container:
        group = machine.cgroups.instance(container.id)
        assert wait_until(lambda: len(group.processes()) == 3, 30), "init, sh and sleep"
        before = members(group)
        if machine.cgroups.version == 1:
            for controller in ("pids", "memory", "cpu"):
                for pid in before[group.directories[0]]:
                    (machine.cgroups.mounts[controller] / "cgroup.procs").write_text(str(pid))
            assert members(group) != before
        machine.containers.regroup()
        assert members(group) == before


def members(group: Group) -> dict[Path, set[int]]:
    """The processes of a group by its directories."""
    return {path: set(Group("", (path,)).processes()) for path in group.directories}


def test_every_container_and_monitor_has_its_own(machine: Machine) -> None:
    with machine.running("sleep", "60") as one, machine.running("sleep", "60") as two:
        for kind in (machine.cgroups.instance, machine.cgroups.monitor):
            first, second = (set(kind(container.id).processes()) for container in (one, two))
            assert first
            assert second
            assert not first & second
        assert os.getpid() not in machine.cgroups.instance(one.id).processes()
