"""What goes wrong around containers and in them: nothing of it is left, and all is told."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from paas.engine.disks import CannotLimitDisk
from paas.engine.runtime import RuntimeFailed
from paas.errors import PaasError
from paas.host.processes import ProgramMissing
from paas.model.limits import MIB, Limits, Throttle
from tests.engine.machine import SECONDS, Machine

MANY = 50

# -- the runtime and the monitor -------------------------------------------------------------


@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize(
    ("program", "error"), [("crun-that-is-not", ProgramMissing), ("false", RuntimeFailed)]
)
def test_a_runtime_that_is_missing_or_fails_leaves_nothing(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    error: type[PaasError],
    foreground: bool,
) -> None:
    broken = replace(machine.bundler.runtime, program=program)
    monkeypatch.setattr(machine.bundler, "runtime", broken)
    with pytest.raises((error, PaasError)):
        if foreground:
            machine.run("true")
        else:
            machine.containers.create(machine.spec("true"))
    assert machine.traces() == []


def test_a_journal_that_cannot_be_written_undoes_what_was_begun(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(machine.bundler.events, "add", full)
        with pytest.raises(OSError, match="No space"):
            machine.containers.create(machine.spec("true"))
    machine.containers.recover()
    assert machine.traces() == []


def test_a_log_without_space_ends_no_container(machine: Machine) -> None:
    """/dev/full stands for a disk that is: conmon drops what it cannot keep."""
    command = "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done; exit 3"
    with machine.running("sh", "-c", command, log=Path("/dev/full")) as container:
        assert machine.ended(container.id).exit_code == 3
    assert Path("/dev/full").stat().st_uid == 0


# -- what goes on inside ---------------------------------------------------------------------


def test_memory_that_is_full_is_named(machine: Machine) -> None:
    limits = Limits(memory_bytes=24 * MIB)
    with machine.running("tail", "/dev/zero", limits=limits) as container:
        status = machine.ended(container.id)
        machine.containers.settle(container.id)
        assert (status.exit_code, status.oom_killed) == (137, True)
        assert [event.action for event in machine.events()][-2:] == ["oom", "die"]


@pytest.mark.parametrize("place", ["/dev/shm", "/scratch", "/dev"])
def test_a_tmpfs_that_is_full_is_only_that(machine: Machine, place: str) -> None:
    limits = {"shm_bytes": 2 * MIB, "tmpfs": {"/scratch": 2 * MIB}}
    fill = f"dd if=/dev/zero of={place}/x bs=1M count=64 2>/dev/null; echo code $?"
    output = machine.run("sh", "-c", f"{fill}; stat -c %s {place}/x; echo fine > /tmp/x", **limits)
    code, size = output.text.split()[1:3]
    assert (output.code, code) == (0, "1")
    assert int(size) <= 2 * MIB


def test_a_disk_that_is_full_is_only_its_own(machine: Machine) -> None:
    """Also across a start again; the host and what is beside see nothing of it."""
    script = """
        [ -e /x ] && stat -c 'kept %s' /x && exit
        dd if=/dev/zero of=/x bs=1M count=64 2>&1 | grep -o 'No space left.*'; stat -c %s /x
        rm /x; dd if=/dev/zero of=/x bs=1M count=4 2>/dev/null && echo fits; id -u
    """
    limits = Limits(disk_bytes=24 * MIB)
    with machine.running("sh", "-c", script, limits=limits, user="root") as container:
        assert machine.ended(container.id).exit_code == 0
        said, size, fits, uid = machine.log_of(container.id)
        assert (said, fits, uid) == ("No space left on device", "fits", "0")
        assert 16 * MIB < int(size) < 24 * MIB
        image = machine.layout.engine / "disks" / container.id
        # Sparse, and what was deleted in it is the host's again.
        assert image.stat().st_blocks * 512 < 12 * MIB
        upper = machine.storage.rootfs.written(container.id)
        assert (upper / "x").stat().st_uid == 0
        machine.containers.start(container.id)
        assert machine.ended(container.id).exit_code == 0
        assert machine.log_of(container.id)[-1] == f"kept {4 * MIB}"
    assert machine.traces() == []


def test_a_disk_that_cannot_be_made_is_said_and_leaves_nothing(machine: Machine) -> None:
    with pytest.raises(CannotLimitDisk, match="of 0 MiB cannot be made") as caught:
        machine.containers.create(machine.spec("true", limits=Limits(disk_bytes=8192)))
    assert "loop" in str(caught.value.resolution)
    assert machine.traces() == []


def test_memory_files_count_as_memory(machine: Machine) -> None:
    limits = Limits(memory_bytes=16 * MIB)
    fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=64"
    output = machine.run("sh", "-c", fill, limits=limits, shm_bytes=1 << 30)
    assert output.code == 137


def test_limits_are_the_kernels(machine: Machine) -> None:
    """As the control groups of this host have them, not as the document says."""
    limits = Limits(
        memory_bytes=64 * MIB,
        memory_reserved_bytes=32 * MIB,
        cpus=0.5,
        cpu_weight=50,
        cpu_set="0",
        pids=77,
    )
    ulimits = {"nofile": (123, 456), "nproc": (99, 99)}
    with machine.running("sleep", "60", limits=limits, ulimits=ulimits) as container:
        files = {
            "memory": {"memory.limit_in_bytes": "67108864", "memory.max": "67108864",
                       "memory.soft_limit_in_bytes": "33554432", "memory.low": "33554432"},
            "cpu": {"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000", "cpu.shares": "512",
                    "cpu.weight": "50"},
            "cpuset": {"cpuset.cpus": "0"},
            "pids": {"pids.max": "77"},
        }  # fmt: skip
        for hierarchy, wanted in files.items():
            if hierarchy not in machine.cgroups.controllers:
                continue  # What the surroundings do not hand down, nobody can limit.
            place = machine.cgroups.place(hierarchy, container.id)
            assert place is not None
            found = {name: (place / name).read_text().strip() for name in wanted
                     if (place / name).exists()}  # fmt: skip
            assert found
            assert found.items() <= wanted.items()
        said = Path(f"/proc/{container.pid}/limits").read_text()
        lines = {line[:26].strip(): line[26:].split()[:2] for line in said.splitlines()}
        assert lines["Max open files"] == ["123", "456"]
        assert lines["Max processes"] == ["99", "99"]


def test_a_device_is_slowed_for_it(machine: Machine) -> None:
    """The disk itself: a partition has no ceilings of its own."""
    device = machine.layout.root.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    disk = block.parent if (block / "partition").exists() else block
    major, minor = map(int, (disk / "dev").read_text().split(":"))
    throttle = Throttle(major, minor, write_bytes=1 << 20, read_operations=99)
    with machine.running("sleep", "60", limits=Limits(throttles=(throttle,))) as container:
        place = machine.cgroups.place("blkio", container.id)
        assert place
        if machine.cgroups.version == 2:
            assert (place / "io.max").read_text().split() == [
                f"{major}:{minor}", "rbps=max", "wbps=1048576", "riops=99", "wiops=max",
            ]  # fmt: skip
        else:
            for name, value in (("write_bps_device", 1 << 20), ("read_iops_device", 99)):
                said = (place / f"blkio.throttle.{name}").read_text()
                assert said == f"{major}:{minor} {value}\n"


def test_sysctls_and_shared_memory_are_its_own(machine: Machine) -> None:
    before = Path("/proc/sys/kernel/shmmni").read_text()
    sysctls = {"kernel.shmmni": "123", "net.ipv4.tcp_keepalive_time": "99"}
    script = (
        "cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/tcp_keepalive_time; busybox df -k /dev/shm"
    )
    output = machine.run("sh", "-c", script, sysctls=sysctls, shm_bytes=8 * MIB)
    words = output.text.split()
    assert words[:2] == ["123", "99"]
    assert "8192" in words
    assert Path("/proc/sys/kernel/shmmni").read_text() == before


# -- many at once ----------------------------------------------------------------------------


def test_fifty_are_started_and_stopped_at_once(machine: Machine) -> None:
    script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.2; done"

    def life(number: int) -> tuple[int | None, str]:
        spec = machine.spec("sh", "-c", script, owner=f"app:{number % 5}")
        try:
            container = machine.containers.create(spec)
            machine.containers.start(spec.id)
            deadline = time.monotonic() + 3 * SECONDS
            while not machine.log_of(spec.id) and time.monotonic() < deadline:
                time.sleep(0.02)
            return machine.containers.stop(spec.id).exit_code, str(container.address)
        finally:
            machine.containers.remove(spec.id)

    with ThreadPoolExecutor(MANY) as pool:
        ended = list(pool.map(life, range(MANY)))
    assert {code for code, _ in ended} == {5}
    assert len({address for _, address in ended}) == MANY
    assert machine.traces() == []
