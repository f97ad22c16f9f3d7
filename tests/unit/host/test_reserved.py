"""Who asks for how much memory above the instances; what the kernel makes of it is in the
engine ring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paas.host import reserved
from paas.host.cgroups import Cgroups
from paas.host.reserved import Reserved

Made = Callable[[str], Reserved]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[object]]:
    """What systemd was told, which may refuse it."""
    told: list[list[object]] = []
    monkeypatch.setattr(reserved, "run", lambda words, *, check: told.append([*words, check]))
    return told


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A subtree with instances that reserve 3, 4 and nothing, and a file that is no group."""

    def make(base: str) -> Reserved:
        found = Reserved(Cgroups(2, {"": tmp_path}, base), tmp_path / "lock")
        for name, low in (("one", 3), ("two", 4), ("three", 0)):
            group = found.cgroups.instances / name
            group.mkdir(parents=True)
            (group / "memory.low").write_text(f"{low}\n")
        (found.cgroups.instances / "cgroup.procs").touch()
        for group in (found.cgroups.instances, *found.cgroups.instances.parents):
            if tmp_path in group.parents:
                (group / "memory.low").write_text("0\n")
        return found

    return make


def low(path: Path) -> str:
    return (path / "memory.low").read_text().strip()


def test_groups_of_our_own_ask_for_the_sum(made: Made, asked: list[list[object]]) -> None:
    found = made("/paas-1")
    assert found.lacking() == ["instances", "paas-1"]
    found.settle()
    group = found.cgroups.instances
    assert (low(group), low(group.parent)) == ("7", "7")
    assert found.lacking() == []
    (group / "two/memory.low").unlink()
    found.settle()
    assert (low(group), low(group.parent)) == ("3", "3")
    assert asked == []


def test_units_of_ours_are_systemds_to_write(made: Made, asked: list[list[object]]) -> None:
    found = made("/paas.slice/paas-instances.service")
    found.settle()
    assert low(found.cgroups.instances) == "7"
    told = ["systemctl", "set-property", "--runtime"]
    assert asked == [
        [*told, "paas-instances.service", "MemoryLow=7", False],
        [*told, "paas.slice", "MemoryLow=7", False],
    ]


def test_a_slice_of_the_systems_is_left_alone_and_told(
    made: Made, asked: list[list[object]], tmp_path: Path
) -> None:
    """As an upgrade leaves it until the machine is restarted."""
    found = made("/system.slice/paas-instances.service")
    found.settle()
    assert [words[3] for words in asked] == ["paas-instances.service"]
    (tmp_path / "system.slice/paas-instances.service/memory.low").write_text("7\n")
    assert found.lacking() == ["system.slice"]
    (tmp_path / "system.slice/memory.low").write_text("max\n")
    assert found.lacking() == []


def test_what_is_asked_for_already_is_not_asked_again(
    made: Made, asked: list[list[object]], tmp_path: Path
) -> None:
    found = made("/paas.slice/paas-instances.service")
    for unit in ("paas.slice", "paas.slice/paas-instances.service"):
        (tmp_path / unit / "memory.low").write_text("7\n")
    found.settle()
    assert asked == []


def test_what_an_instance_reserves(made: Made) -> None:
    found = made("/paas-1")
    assert [found.by(name) for name in ("one", "three", "gone")] == [3, 0, 0]


def test_without_the_controller_or_any_instance_there_is_nothing_to_do(tmp_path: Path) -> None:
    found = Reserved(Cgroups(2, {"": tmp_path}, "/paas-1"), tmp_path / "lock")
    found.settle()
    assert found.lacking() == []
    (found.cgroups.instances / "one").mkdir(parents=True)
    found.settle()
    assert list(found.cgroups.instances.iterdir()) == [found.cgroups.instances / "one"]


def test_version_1_has_no_groups_above_that_bound_it(tmp_path: Path) -> None:
    found = Reserved(Cgroups(1, {"memory": tmp_path, "pids": tmp_path}, "/paas-1"), tmp_path / "l")
    (tmp_path / "paas-1/instances/one").mkdir(parents=True)
    found.settle()
    assert (found.by("one"), found.lacking()) == (0, [])
    assert [path.name for path in tmp_path.iterdir()] == ["paas-1"]
