"""What containers use at the moment, read from their control groups and namespaces.

Sources: cgroup-v2.rst, cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst,
accounting/psi.rst and proc_net(5). A figure that this kernel does not keep is None.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from paas.host.cgroups import Cgroups

NANOSECONDS = 1_000_000_000
UNLIMITED = 1 << 60
"""Version 1 says "no limit" as the largest multiple of a page in 63 bits."""


@dataclass(frozen=True)
class Stats:
    """Counters since the container's start, and levels now. Bytes and seconds.

    `memory_bytes` leaves out the page cache that can be given back at once, as `docker
    stats` does. `pressure` maps cpu, memory and io to the share (percent) of the last ten
    seconds in which some task waited for it; empty on version 1.
    """

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cpu_throttled_seconds: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    pressure: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def cpu_percent(before: Stats, after: Stats, seconds: float) -> float | None:
    """The share of one processor that was used between two looks, in percent."""
    if before.cpu_seconds is None or after.cpu_seconds is None or seconds <= 0:
        return None
    return max(0.0, 100.0 * (after.cpu_seconds - before.cpu_seconds) / seconds)


def read(cgroups: Cgroups, container_id: str, pid: int) -> Stats:
    """Look at the container whose init is `pid`. One that is gone gives no figures."""

    def place(hierarchy: str) -> Path:
        return cgroups.place(hierarchy, container_id) or Path("/nonexistent")

    parts = _version2(place("")) if cgroups.version == 2 else _version1(place)
    return Stats(**{**parts, **_network(pid)})  # type: ignore[arg-type]


def _version2(group: Path) -> dict[str, object]:
    cpu, memory, events = (
        _flat(group / name) for name in ("cpu.stat", "memory.stat", "memory.events")
    )
    io = _io_stat(_text(group / "io.stat"))
    current = _number(group / "memory.current")
    return {
        "cpu_seconds": _scaled(cpu.get("usage_usec"), 1e6),
        "cpu_user_seconds": _scaled(cpu.get("user_usec"), 1e6),
        "cpu_system_seconds": _scaled(cpu.get("system_usec"), 1e6),
        "cpu_throttled_seconds": _scaled(cpu.get("throttled_usec"), 1e6),
        "memory_bytes": _without(current, memory.get("inactive_file", 0)),
        "memory_limit_bytes": _number(group / "memory.max"),
        "memory_peak_bytes": _number(group / "memory.peak"),
        "oom_kills": events.get("oom_kill"),
        "pids": _number(group / "pids.current"),
        "pids_limit": _number(group / "pids.max"),
        "io_read_bytes": io.get("rbytes"),
        "io_write_bytes": io.get("wbytes"),
        "pressure": {
            kind: share
            for kind in ("cpu", "memory", "io")
            if (share := _pressure(_text(group / f"{kind}.pressure"))) is not None
        },
    }


def _version1(group: Callable[[str], Path]) -> dict[str, object]:
    ticks = os.sysconf("SC_CLK_TCK")
    accounted = _flat(group("cpuacct") / "cpuacct.stat")
    throttled = _flat(group("cpu") / "cpu.stat")
    memory = group("memory")
    current = _number(memory / "memory.usage_in_bytes")
    io = _blkio(_text(group("blkio") / "blkio.throttle.io_service_bytes"))
    return {
        "cpu_seconds": _scaled(_number(group("cpuacct") / "cpuacct.usage"), NANOSECONDS),
        "cpu_user_seconds": _scaled(accounted.get("user"), ticks),
        "cpu_system_seconds": _scaled(accounted.get("system"), ticks),
        "cpu_throttled_seconds": _scaled(throttled.get("throttled_time"), NANOSECONDS),
        "memory_bytes": _without(
            current, _flat(memory / "memory.stat").get("total_inactive_file", 0)
        ),
        "memory_limit_bytes": _number(memory / "memory.limit_in_bytes"),
        "memory_peak_bytes": _number(memory / "memory.max_usage_in_bytes"),
        "oom_kills": _flat(memory / "memory.oom_control").get("oom_kill"),
        "pids": _number(group("pids") / "pids.current"),
        "pids_limit": _number(group("pids") / "pids.max"),
        "io_read_bytes": io.get("Read"),
        "io_write_bytes": io.get("Write"),
    }


def _network(pid: int) -> dict[str, int]:
    """What went through its own interfaces; /proc/PID/net is that of its namespace."""
    received = sent = 0
    lines = _text(Path(f"/proc/{pid}/net/dev")).splitlines()[2:] if pid else []
    for line in lines:
        name, _, figures = line.partition(":")
        if name.strip() != "lo":
            columns = figures.split()
            received, sent = received + int(columns[0]), sent + int(columns[8])
    if not lines:
        return {}
    return {"network_received_bytes": received, "network_sent_bytes": sent}


def _io_stat(text: str) -> dict[str, int]:
    """Sums over devices of version 2's `8:0 rbytes=1 wbytes=2 …`; none moved is zero."""
    sums = {"rbytes": 0, "wbytes": 0}
    for line in text.splitlines():
        for pair in line.split()[1:]:
            key, _, value = pair.partition("=")
            if key in sums and value.isdecimal():
                sums[key] += int(value)
    return sums


def _blkio(text: str) -> dict[str, int]:
    """The same of version 1's `8:0 Read 1`."""
    sums = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in sums:
            sums[words[1]] += int(words[2])
    return sums


def _pressure(text: str) -> float | None:
    """`some avg10=1.50 …` as 1.5."""
    for line in text.splitlines():
        if line.startswith("some "):
            return float(line.split()[1].removeprefix("avg10="))
    return None


def _flat(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(path: Path) -> int | None:
    """A file of one number; None for `max`, for version 1's "no limit", and without it."""
    text = _text(path).strip()
    if not text.isdecimal() or int(text) > UNLIMITED:
        return None
    return int(text)


def _text(path: Path) -> str:
    """ENODEV is what a group says that is removed while it is read; EOPNOTSUPP is psi=0."""
    with suppress(OSError):
        return path.read_text()
    return ""


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by


def _without(value: int | None, part: int) -> int | None:
    return None if value is None else max(0, value - part)
