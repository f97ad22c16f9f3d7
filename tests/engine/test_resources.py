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


def test_a_slowed_disk_takes_as_long_as_was_asked(machine: Machine) -> None:
    throttle = Throttle(*disk_of(machine.layout.root), write_bytes=2 * MIB)
    slowed = seconds_to_write(machine, Limits(throttles=(throttle,)))
    free = seconds_to_write(machine, Limits())
    # The kernel lets a first slice of half a second through.
    assert 1.4 < slowed < 4
    assert free < slowed / 2


def test_a_share_of_the_disk_is_the_kernels(machine: Machine) -> None:
    with machine.running("sleep", "60", limits=Limits(io_weight=20)) as container:
        group = machine.cgroups.instance(container.id)
        said = [
            file.read_text().split("\n")[0]
            for directory in group.directories
            for file in (directory / "io.weight", directory / "blkio.weight")
            if file.exists()
        ]
    weight = "default 20" if machine.cgroups.version == 2 else "20"
    assert said == ([weight] if machine.cgroups.limits_io else [])


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
