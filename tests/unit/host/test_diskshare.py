"""Which disks heed a weight, by what /sys and the root of the hierarchy say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.host.diskshare import unweighted


class Sys:
    """A /sys in which `path` is on a device that tests lay out."""

    def __init__(self, top: Path) -> None:
        self.path, self.top, self.hierarchy = top, top / "sys", top / "cgroup"
        device = top.stat().st_dev
        self.link = self.top / f"dev/block/{os.major(device)}:{os.minor(device)}"
        self.link.parent.mkdir(parents=True)
        self.hierarchy.mkdir()

    def disk(self, name: str, number: str, scheduler: str = "[none] bfq") -> Path:
        disk = self.top / "devices" / name
        (disk / "queue").mkdir(parents=True)
        (disk / "queue/scheduler").write_text(f"{scheduler}\n")
        (disk / "dev").write_text(f"{number}\n")
        return disk

    def found(self) -> list[str]:
        return unweighted(self.path, self.hierarchy, self.top)


@pytest.fixture
def sys(tmp_path: Path) -> Sys:
    return Sys(tmp_path)


@pytest.mark.parametrize(
    ("scheduler", "found"), [("[none] bfq", ["vda"]), ("mq-deadline [bfq]", []), ("", ["vda"])]
)
def test_only_bfq_gives_out_a_disk_by_weight(sys: Sys, scheduler: str, found: list[str]) -> None:
    sys.link.symlink_to(sys.disk("vda", "254:0", scheduler))
    assert sys.found() == found


@pytest.mark.parametrize(
    ("qos", "found"),
    [("", ["vda"]), ("254:0 enable=0 ctrl=auto", ["vda"]), ("254:16 enable=1", ["vda"]),
     ("254:16 enable=0\n254:0 enable=1 ctrl=user rpct=95.00", [])],
)  # fmt: skip
def test_or_the_controller_of_costs(sys: Sys, qos: str, found: list[str]) -> None:
    sys.link.symlink_to(sys.disk("vda", "254:0"))
    (sys.hierarchy / "io.cost.qos").write_text(f"{qos}\n" if qos else "")
    assert sys.found() == found


def test_a_partition_is_of_its_disk(sys: Sys) -> None:
    partition = sys.disk("vda", "254:0") / "vda1"
    partition.mkdir()
    (partition / "partition").write_text("1\n")
    sys.link.symlink_to(partition)
    assert sys.found() == ["vda"]


def test_what_a_device_is_made_of_counts(sys: Sys) -> None:
    mirror = sys.disk("md0", "9:0", "")
    (mirror / "slaves").mkdir()
    for name, number, scheduler in (("sda", "8:0", "[bfq]"), ("sdb", "8:16", "[none]")):
        (mirror / "slaves" / name).symlink_to(sys.disk(name, number, scheduler))
    sys.link.symlink_to(mirror)
    assert sys.found() == ["sdb"]


def test_what_is_on_no_block_device_says_nothing(sys: Sys) -> None:
    assert sys.found() == []
