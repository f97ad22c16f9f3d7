"""Control groups as paths and texts; the kernel's part is in the engine ring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paas.host.cgroup import Group
from paas.host.cgroups import Cgroups, CgroupsUnusable, own_group, read_mounts
from paas.host.commandgroups import CommandGroups
from paas.model.layout import Layout

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def hybrid() -> Cgroups:
    return Cgroups(1, read_mounts(HYBRID), "/paas")


def unified() -> Cgroups:
    return Cgroups(2, read_mounts(UNIFIED), "/system.slice/paas-instances.service")


def test_nothing_mounted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paas.host.cgroups.read_mounts", lambda _: {})
    with pytest.raises(CgroupsUnusable, match="No cgroup file system"):
        Cgroups.detect(Layout.at(tmp_path))


def test_mounts_of_both_versions() -> None:
    assert read_mounts(UNIFIED) == {"": Path("/sys/fs/cgroup")}
    found = read_mounts(HYBRID)
    assert found["cpuacct"] == found["cpu"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert found["name=systemd"] == Path("/sys/fs/cgroup/systemd")
    assert "xattr" not in found
    assert "rw" not in found


def test_a_group_is_one_directory_or_one_in_each_hierarchy() -> None:
    root = Path("/sys/fs/cgroup")
    base = root / "system.slice/paas-instances.service"
    assert unified().instance("c1").directories == (base / "instances/c1",)
    assert unified().monitor("c1").directories == (base / "monitors/c1",)
    instance = hybrid().instance("c1")
    assert instance.directories[0] == root / "pids/paas/instances/c1"
    assert root / "memory/paas/instances/c1" in instance.directories
    monitor = hybrid().monitor("c1")
    assert monitor.directories == (root / "pids/paas/monitors/c1",)
    assert set(monitor.shared) == {
        root / "memory/paas/monitors",
        root / "systemd/paas/monitors",
        root / "unified/paas/monitors",
    }


def test_the_runtimes_path_is_below_the_base() -> None:
    expected = "/system.slice/paas-instances.service/instances/c1"
    assert unified().instance_path("c1") == expected


def test_an_absent_group_has_nothing_and_takes_everything(tmp_path: Path) -> None:
    group = Group("gone", (tmp_path / "gone",))
    assert group.processes() == []
    assert group.oom_kills() == 0
    group.kill()
    group.remove()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("memory.events", "low 0\nmax 3\noom 1\noom_kill 2\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_kills_for_lack_of_memory_are_counted(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert Group("one", (tmp_path / "absent", tmp_path)).oom_kills() == 2


def test_own_group() -> None:
    assert own_group("4:memory:/a\n0::/system.slice/x.service\n") == "/system.slice/x.service"
    assert own_group("4:memory:/a\n") == "/"


def test_only_a_service_manager_delegates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert unified().delegated("leaf") is None
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    assert hybrid().delegated("leaf") is None


def test_a_service_hands_its_own_group_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    for said in ("0::/system.slice/paasd.service\n", "0::/system.slice/paasd.service/leaf\n"):
        monkeypatch.setattr(Path, "read_text", lambda _, said=said: said)
        found = unified().delegated("leaf")
        assert found is not None
        assert found.base == "/system.slice/paasd.service"


def test_commands_are_below_the_daemons_group_and_not_the_instances() -> None:
    daemon = replace(unified(), base="/system.slice/paasd.service")
    expected = Path("/sys/fs/cgroup/system.slice/paasd.service/commands/7")
    assert CommandGroups(daemon).group("7").directories == (expected,)
    assert len(CommandGroups(hybrid()).group("7").directories) == 2
