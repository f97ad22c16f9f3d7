"""Figures of control groups, of both versions, read from directories that look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.stats import Stats, cpu_percent, read
from paas.host.cgroups import Cgroups

V2 = {
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nthrottled_usec 1000\n",
    "memory.current": "3000\n",
    "memory.stat": "anon 1\ninactive_file 1000\n",
    "memory.max": "max\n",
    "memory.peak": "4000\n",
    "memory.events": "oom 1\noom_kill 2\n",
    "pids.current": "7\n",
    "pids.max": "512\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=6 rios=1\n",
    "cpu.pressure": "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
}
V1 = {
    "cpuacct/cpuacct.usage": "2500000000\n",
    "cpuacct/cpuacct.stat": "user 200\nsystem 50\n",
    "cpu/cpu.stat": "nr_throttled 1\nthrottled_time 1000000\n",
    "memory/memory.usage_in_bytes": "3000\n",
    "memory/memory.stat": "cache 1\ntotal_inactive_file 1000\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.max_usage_in_bytes": "4000\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "pids/pids.current": "7\n",
    "pids/pids.max": "512\n",
    "blkio/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 20\n8:16 Read 5\n"
    "8:16 Write 6\n8:16 Total 11\nTotal 41\n",
}
SAME = Stats(
    cpu_seconds=2.5,
    cpu_user_seconds=2.0,
    cpu_system_seconds=0.5,
    cpu_throttled_seconds=0.001,
    memory_bytes=2000,
    memory_limit_bytes=None,
    memory_peak_bytes=4000,
    oom_kills=2,
    pids=7,
    pids_limit=512,
    io_read_bytes=15,
    io_write_bytes=26,
)


def test_a_group_that_is_gone_has_no_figures(tmp_path: Path) -> None:
    for version in (1, 2):
        found = read(Cgroups(version, {"": tmp_path}, "/x"), "c1", 0)
        assert found.cpu_seconds is None
        assert found.memory_bytes is None


def test_version_2(tmp_path: Path) -> None:
    group = tmp_path / "x/instances/c1"
    group.mkdir(parents=True)
    for name, text in V2.items():
        (group / name).write_text(text)
    found = read(Cgroups(2, {"": tmp_path}, "/x"), "c1", 0)
    assert found.pressure == {"cpu": 1.5, "memory": 0.0}
    assert found == Stats(**{**vars(SAME), "pressure": found.pressure})


def test_version_1_tells_the_same(tmp_path: Path) -> None:
    for name, text in V1.items():
        hierarchy, _, file = name.partition("/")
        group = tmp_path / hierarchy / "x/instances/c1"
        group.mkdir(parents=True, exist_ok=True)
        (group / file).write_text(text)
    mounts = {path.name: path for path in tmp_path.iterdir()}
    assert read(Cgroups(1, mounts, "/x"), "c1", 0) == SAME


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [(1.0, 2.0, 50.0), (None, 2.0, None), (2.0, None, None), (2.0, 1.0, 0.0)],
)
def test_the_share_of_a_processor(
    before: float | None, after: float | None, percent: float | None
) -> None:
    assert cpu_percent(Stats(before), Stats(after), 2.0) == percent
