"""Limits as the OCI document says them, for both versions of control groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paas.engine.resources import HostFacts, resources
from paas.model.limits import MIB, Limits, Throttle
from tests.unit.engine.test_spec import HOST

LIMITS = Limits(memory_bytes=64 * MIB, cpus=1.5, pids=99, io_weight=20, cpu_weight=50)
DEVICES = {"devices": [{"allow": False, "access": "rwm"}]}


def test_a_host_without_controllers_limits_nothing() -> None:
    bare = replace(HOST, controllers=frozenset(), io_weights=(), limits_swap=False)
    assert resources(LIMITS, bare) == DEVICES


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (
            HOST,
            {
                "cpu": {"period": 100_000, "quota": 150_000},
                "unified": {"cpu.weight": "50", "io.weight": "default 20"},
            },
        ),
        (
            replace(HOST, cgroup_version=1, io_weights=("blkio.weight",)),
            {
                "cpu": {"period": 100_000, "quota": 150_000, "shares": 512},
                "blockIO": {"weight": 20},
            },
        ),
    ],
)
def test_both_versions(host: HostFacts, found: dict[str, Any]) -> None:
    assert resources(LIMITS, host) == {
        **DEVICES,
        "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
        "pids": {"limit": 99},
        **found,
    }


def test_no_swap_is_said_only_where_swap_is_counted() -> None:
    assert resources(LIMITS, replace(HOST, limits_swap=False))["memory"] == {"limit": 64 * MIB}


def test_nothing_asked_leaves_the_kernels_defaults() -> None:
    found = resources(Limits(), HOST)
    assert found["cpu"] == {}
    assert "unified" not in found


def test_memory_swap_and_reservation() -> None:
    limits = Limits(memory_bytes=8 * MIB, memory_reserved_bytes=9 * MIB, swap_bytes=MIB)
    assert resources(limits, HOST)["memory"] == {
        "limit": 8 * MIB,
        "reservation": 8 * MIB,
        "swap": 9 * MIB,
    }
    assert resources(replace(limits, swap_bytes=None), HOST)["memory"]["swap"] == -1


def test_each_scheduler_of_disks_is_told_by_a_file_of_its_own() -> None:
    host = replace(HOST, io_weights=("io.weight", "io.bfq.weight"))
    assert resources(Limits(io_weight=2000), host)["unified"] == {
        "io.weight": "default 2000",
        "io.bfq.weight": "default 1000",
    }


def test_processors_and_throttled_devices() -> None:
    controllers = HOST.controllers | {"cpuset"}
    host = replace(HOST, cgroup_version=1, controllers=controllers, io_weights=("blkio.weight",))
    limits = Limits(
        cpu_set="0-1", io_weight=1, throttles=(Throttle(8, 0, read_bytes=5, write_operations=6),)
    )
    found = resources(limits, host)
    assert found["cpu"]["cpus"] == "0-1"
    assert found["blockIO"] == {
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 6}],
        "weight": 10,
    }
    assert "cpus" not in resources(limits, HOST)["cpu"]
