"""What shares and ceilings do to a container, by the kernel's own figures.

Both versions of control groups; what one of them does not have is shown to be absent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from paas.engine import stats
from paas.engine.stats import Stats
from paas.host.waiting import wait_until
from paas.model.limits import MIB, Limits, Throttle
from tests.engine.machine import SECONDS, Machine

WRITTEN = 4 * MIB
WRITE = """
    read before _ </proc/uptime
    dd if=/dev/zero of=/x bs=256k count=16 oflag=direct 2>&1 || exit
    read after _ </proc/uptime
    echo from $before to $after; sleep 60
"""


def disk_of(path: Path) -> tuple[int, int]:
    """The device number of the whole disk: a partition has no ceilings of its own."""
    device = path.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    disk = block.parent if (block / "partition").exists() else block
    major, minor = map(int, (disk / "dev").read_text().split(":"))
    return major, minor


def used(machine: Machine, container: str) -> Stats:
    live = machine.containers.get(container)
    return stats.read(machine.cgroups, container, live.pid or 0)


def seconds_to_write(machine: Machine, limits: Limits) -> float:
    """How long the container took to write, without its start."""
    with machine.running("sh", "-c", WRITE, limits=limits) as container:
        machine.wait_for_line(container.id, "from")
        _, before, _, after = machine.log_of(container.id)[-1].split()
        assert (used(machine, container.id).io_write_bytes or 0) >= WRITTEN
    return float(after) - float(before)


def least(machine: Machine, limits: Limits, below: float) -> float:
    """The shortest time it took, of three at most: others use the disk too."""
    found: list[float] = []
    while len(found) < 3 and min(found, default=below) >= below:
        found.append(seconds_to_write(machine, limits))
    return min(found)


def test_a_slowed_disk_takes_as_long_as_was_asked(machine: Machine) -> None:
    throttle = Throttle(*disk_of(machine.layout.root), write_bytes=2 * MIB)
    slowed = least(machine, Limits(throttles=(throttle,)), below=4)
    free = least(machine, Limits(), below=slowed / 2)
    # The kernel lets a first slice of half a second through.
    assert 1.4 < slowed < 4
    assert free < slowed / 2


def test_a_share_of_the_disk_is_the_kernels(machine: Machine) -> None:
    with machine.running("sleep", "60", limits=Limits(io_weight=20)) as container:
        group = machine.cgroups.instance(container.id)
        said = [
            file.read_text().split("\n")[0]
            for directory in group.directories
            for name in ("io.weight", "io.bfq.weight", "blkio.weight")
            if (file := directory / name).exists()
        ]
    weight = "default 20" if machine.cgroups.version == 2 else "20"
    assert said == [weight for _ in machine.cgroups.io_weights]


READ = """
    dd if=/dev/zero of=/x bs=1M count=$0 2>/dev/null && sync
    while :; do cat /x >/dev/null && echo read; sleep "$1"; done
"""


def cached(machine: Machine, container: str) -> int:
    """Bytes of files that the kernel keeps in memory for a container."""
    [group] = machine.cgroups.instance(container).directories
    lines = (group / "memory.stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("file "))


def kept_beside_a_greedy_one(machine: Machine, reserved: int | None) -> int:
    """What a container has left of 16 MiB of files, which it rests from reading, when another
    has read 64 MiB twice and both together may have 48."""
    limits = Limits(memory_reserved_bytes=reserved)
    reader, rests, hurries = ("sh", "-c", READ), "600", "0"
    with machine.running(*reader, "16", rests, limits=limits) as quiet:
        machine.wait_for_line(quiet.id, "read")
        above = machine.cgroups.instances.parent
        (above / "memory.max").write_text(str(48 * MIB))
        try:
            with machine.running(*reader, "64", hurries) as greedy:
                machine.wait_for_line(greedy.id, "read", times=2)
                return cached(machine, quiet.id)
        finally:
            (above / "memory.max").write_text("max")


def test_reserved_memory_is_kept_when_it_is_short(machine: Machine) -> None:
    """In version 2 as far as every group above asks for it too."""
    if machine.cgroups.version == 1:
        with machine.running("sleep", "60", limits=Limits(memory_reserved_bytes=MIB)) as container:
            group = machine.cgroups.place("memory", container.id)
            assert group is not None
            assert (group / "memory.soft_limit_in_bytes").read_text() == f"{MIB}\n"
        return
    assert kept_beside_a_greedy_one(machine, None) < 8 * MIB
    assert kept_beside_a_greedy_one(machine, 24 * MIB) >= 15 * MIB
    machine.bundler.reserved.settle()
    assert (machine.cgroups.instances / "memory.low").read_text() == "0\n"


def test_who_waits_for_a_processor_is_seen(machine: Machine) -> None:
    """A task that may run for a tenth of the time waits for the rest of it."""
    command = ("sh", "-c", "while :; do :; done")
    with machine.running(*command, limits=Limits(cpus=0.1)) as container:

        def pressure() -> Mapping[str, float]:
            return used(machine, container.id).pressure

        if machine.cgroups.version == 1:
            assert pressure() == {}
            return
        assert set(pressure()) == {"cpu", "memory", "io"}
        # An average of ten seconds, which the kernel makes every two.
        assert wait_until(lambda: pressure()["cpu"] > 5, SECONDS, 0.1), pressure()
