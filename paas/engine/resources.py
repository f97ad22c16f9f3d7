"""What this host lets a container have: limits of control groups and of processes.

Source: https://github.com/opencontainers/runtime-spec, config-linux.md, section
Control groups; the files behind them are those of cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.errors import PaasError
from paas.host.cgroups import Cgroups
from paas.model.limits import Limits, Throttle

CPU_PERIOD_US = 100_000

OPEN_FILES = 65536
OOM_SCORE_ADJ = 100
"""Instances are killed before the PaaS itself and the system's services."""

INITS = (Path("/usr/bin/tini-static"), Path("/usr/bin/catatonit"))


class NoInit(PaasError):
    """Neither of the known init programs is installed."""

    def __init__(self) -> None:
        super().__init__(
            "No init for containers is installed",
            resolution="Run ./install.sh again: it installs tini.",
        )


@dataclass(frozen=True)
class HostFacts:
    """What the configuration of a container takes from the host."""

    cgroup_version: int
    controllers: frozenset[str]
    limits_swap: bool
    io_weights: tuple[str, ...]
    cgroups_path: str
    rlimits: tuple[tuple[str, int, int], ...]
    oom_score_adj: int
    init: Path
    seccomp: Mapping[str, Any] = field(repr=False)


def host_facts(cgroups: Cgroups, container_id: str, seccomp: Mapping[str, Any]) -> HostFacts:
    """Look at the host. Raises `NoInit`."""
    init = next((path for path in INITS if path.exists()), None)
    if init is None:
        raise NoInit
    return HostFacts(
        cgroup_version=cgroups.version,
        controllers=cgroups.controllers,
        limits_swap=cgroups.limits_swap,
        io_weights=cgroups.io_weights,
        cgroups_path=cgroups.instance_path(container_id),
        rlimits=_rlimits(),
        oom_score_adj=_oom_score_adj(),
        init=init,
        seccomp=seccomp,
    )


def resources(limits: Limits, host: HostFacts) -> dict[str, Any]:
    """The `linux.resources`: what is asked for and this host can limit."""
    found: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if "memory" in host.controllers:
        found["memory"] = _memory(limits, host)
    if "pids" in host.controllers:
        found["pids"] = {"limit": limits.pids}
    unified: dict[str, str] = {}
    if "cpu" in host.controllers:
        found["cpu"] = _cpu(limits, host, unified)
    if limits.throttles and "io" in host.controllers:
        found["blockIO"] = _throttled(limits.throttles)
    if limits.io_weight is not None and host.io_weights:
        if host.cgroup_version == 1:
            # Version 1 knows 10 to 1000.
            weight = {"weight": min(max(limits.io_weight, 10), 1000)}
            found["blockIO"] = {**found.get("blockIO", {}), **weight}
        else:
            for name in host.io_weights:
                # Each with the same default of 100, but bfq's ends at 1000.
                most = 1000 if name == "io.bfq.weight" else 10_000
                unified[name] = f"default {min(limits.io_weight, most)}"
    if unified:
        found["unified"] = unified
    return found


def _memory(limits: Limits, host: HostFacts) -> dict[str, int]:
    memory = {"limit": limits.memory_bytes}
    if limits.memory_reserved_bytes is not None:
        # More than the limit is refused by the kernel, and means the limit.
        memory["reservation"] = min(limits.memory_reserved_bytes, limits.memory_bytes)
    if host.limits_swap:
        # Memory and swap together, in the specification; -1 is as much as there is.
        swap = limits.swap_bytes
        memory["swap"] = -1 if swap is None else limits.memory_bytes + swap
    return memory


def _throttled(throttles: Sequence[Throttle]) -> dict[str, Any]:
    """The specification has one list of devices for each kind of ceiling."""
    found: dict[str, Any] = {}
    for one in throttles:
        for kind, rate in (
            ("throttleReadBpsDevice", one.read_bytes),
            ("throttleWriteBpsDevice", one.write_bytes),
            ("throttleReadIOPSDevice", one.read_operations),
            ("throttleWriteIOPSDevice", one.write_operations),
        ):
            if rate is not None:
                entry = {"major": one.major, "minor": one.minor, "rate": rate}
                found.setdefault(kind, []).append(entry)
    return found


def _cpu(limits: Limits, host: HostFacts, unified: dict[str, str]) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if limits.cpu_set and "cpuset" in host.controllers:
        cpu["cpus"] = limits.cpu_set
    if limits.cpus is not None:
        cpu["period"] = CPU_PERIOD_US
        cpu["quota"] = max(1000, round(limits.cpus * CPU_PERIOD_US))
    if limits.cpu_weight is not None:
        if host.cgroup_version == 1:
            # A weight of 100 is 1024 shares: the default of each.
            cpu["shares"] = max(2, limits.cpu_weight * 1024 // 100)
        else:
            # Not through `shares`, which runtimes convert by a curve of their own.
            unified["cpu.weight"] = str(limits.cpu_weight)
    return cpu


def _rlimits() -> tuple[tuple[str, int, int], ...]:
    """Without CAP_SYS_RESOURCE (some hosts) no limit can be above the host's hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    return (("RLIMIT_NOFILE", files, files), ("RLIMIT_CORE", 0, 0))


def _oom_score_adj() -> int:
    """Never below our own: lowering it takes CAP_SYS_RESOURCE."""
    return max(OOM_SCORE_ADJ, int(Path("/proc/self/oom_score_adj").read_text()))
