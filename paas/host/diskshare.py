"""Which disks the kernel gives out by weight: it takes a scheduler, or a controller, that does.

Version 2 of control groups takes any weight and heeds it on few disks: `io.weight` where
io.cost.qos is enabled for the disk, `io.bfq.weight` where bfq is its scheduler.

Sources: cgroup-v2.rst, "IO Interface Files", and Documentation/block/bfq-iosched.rst.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SYS = Path("/sys")
BFQ = "bfq"


def unweighted(path: Path, hierarchy: Path, sys: Path = SYS) -> list[str]:
    """The disks below `path` on which no weight counts, by name (`vda`).

    `hierarchy` is the root of version 2. Nothing of what is no block device (tmpfs), or does
    not say which it is on (btrfs).
    """
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    costed = _costed(hierarchy)
    found = {disk.name: disk for disk in _disks(sys / "dev/block" / number)}
    return sorted(
        name
        for name, disk in found.items()
        if _number(disk) not in costed and scheduler(disk) != BFQ
    )


def scheduler(disk: Path) -> str:
    """The one in use of a disk in /sys, such as `mq-deadline`; "" where it has none."""
    with suppress(FileNotFoundError):
        for word in (disk / "queue/scheduler").read_text().split():
            if word.startswith("["):
                return word.strip("[]")
    return ""


def _disks(device: Path) -> list[Path]:
    """The whole disks that a block device is made of (LVM, RAID and dm-crypt are of others)."""
    if not device.exists():
        return []
    device = device.resolve()
    below = list((device / "slaves").iterdir()) if (device / "slaves").is_dir() else []
    if below:
        return [disk for each in below for disk in _disks(each)]
    return [device.parent if (device / "partition").exists() else device]


def _number(disk: Path) -> str:
    return (disk / "dev").read_text().strip()


def _costed(hierarchy: Path) -> set[str]:
    """Numbers of the disks for which the controller of costs is on: `254:0 enable=1 ctrl=…`."""
    with suppress(FileNotFoundError):
        lines = (hierarchy / "io.cost.qos").read_text().splitlines()
        return {line.split()[0] for line in lines if "enable=1" in line.split()}
    return set()
