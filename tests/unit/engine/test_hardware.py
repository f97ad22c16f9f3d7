"""Devices, sysctls, ulimits and detach keys: what is refused, and what becomes of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine import devices, sysctls, ulimits
from paas.engine.attach import InvalidKeys, parse_keys
from paas.engine.devices import Device, NoSuchDevice
from paas.engine.sysctls import SysctlRefused
from paas.engine.ulimits import InvalidUlimit
from tests.unit.engine.test_spec import config


@pytest.mark.parametrize("path", ["/dev/no-such-thing", "/etc/passwd", "/dev"])
def test_what_is_no_device_is_refused(path: str) -> None:
    with pytest.raises(NoSuchDevice, match=path):
        devices.find([Device(Path(path))])


def test_a_device_is_named_and_allowed() -> None:
    (node,) = devices.find([Device(Path("/dev/null"), "rw")])
    assert (node.entry["type"], node.entry["major"], node.entry["minor"]) == ("c", 1, 3)
    assert node.rule == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}


@pytest.mark.parametrize(
    "name",
    ["kernel.panic", "vm.swappiness", "kernel/shmmax", "net./../kernel.panic", "fs.file-max",
     "kernel.hostname"],
)  # fmt: skip
def test_a_sysctl_of_the_host_is_refused(name: str) -> None:
    with pytest.raises(SysctlRefused, match="cannot be set"):
        config(sysctls={name: "1"})


def test_a_sysctl_of_the_containers_own_is_set() -> None:
    wanted = {"net.core.somaxconn": "99", "kernel.shmmax": "1", "fs.mqueue.msg_max": "5"}
    assert config(sysctls=wanted)["linux"]["sysctl"].items() >= wanted.items()
    with pytest.raises(SysctlRefused, match="host's network"):
        sysctls.check(wanted, own_network=False)


@pytest.mark.parametrize(
    ("name", "limits"), [("files", (1, 1)), ("nofile", (2, 1)), ("nofile", (-1, 1))]
)
def test_a_ulimit_that_cannot_be(name: str, limits: tuple[int, int]) -> None:
    with pytest.raises(InvalidUlimit, match=name):
        ulimits.merged((), {name: limits})


def test_ulimits_replace_the_defaults_up_to_the_hosts() -> None:
    found = ulimits.merged(
        [("RLIMIT_NOFILE", 10, 20), ("RLIMIT_CORE", 0, 0)],
        {"nofile": (50, 5000), "nproc": (7, 7)},
        most=lambda _: 1000,
    )
    assert found == [("RLIMIT_NOFILE", 50, 1000), ("RLIMIT_CORE", 0, 0), ("RLIMIT_NPROC", 7, 7)]
    assert ulimits.merged((), {"nproc": (7, 9)}, most=lambda _: -1) == [("RLIMIT_NPROC", 7, 9)]


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-P", "ab", "a,,b", "ü"])
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(InvalidKeys):
        parse_keys(text)


def test_keys_are_what_a_terminal_sends() -> None:
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("a,ctrl-@,ctrl-[") == b"a\x00\x1b"
    assert parse_keys("") == b""
