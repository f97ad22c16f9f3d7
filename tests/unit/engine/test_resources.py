"""Limits as the OCI document says them, for both versions of control groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paas.engine.resources import HostFacts, resources
from paas.model.limits import MIB, Limits
from tests.unit.engine.test_spec import HOST

LIMITS = Limits(memory_bytes=64 * MIB, cpus=1.5, pids=99, io_weight=20, cpu_weight=50)
DEVICES = {"devices": [{"allow": False, "access": "rwm"}]}


def test_a_host_without_controllers_limits_nothing() -> None:
    bare = replace(HOST, controllers=frozenset(), limits_io=False, limits_swap=False)
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
            replace(HOST, cgroup_version=1),
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
