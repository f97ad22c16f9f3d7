"""Requests are counted once each, whatever happens to the log meanwhile."""

from __future__ import annotations

from pathlib import Path

from paas.model.traffic import BOUNDS_MS, Traffic, total
from paas.proxy.traffic import Mark, TrafficLogs, count_lines

LINE = b"1764000000.123 200 0.004 512 0.004\n"


def test_a_line_is_a_request_in_its_minute() -> None:
    counted: dict[int, Traffic] = {}
    count_lines([LINE.strip(), b"1764000061.000 502 1.500 90 0.100, -"], counted)
    first, second = counted[1764000000], counted[1764000060]
    assert (first.requests, first.classes[1], first.bytes, first.refused) == (1, 1, 512, 0)
    assert (second.classes[4], second.refused, second.percentile(0.5)) == (1, 1, 1500)


def test_those_of_one_second_that_are_alike_are_all_counted() -> None:
    counted: dict[int, Traffic] = {}
    alike = [b"1764000059.%03d 200 0.004 512 0.004" % number for number in range(500)]
    count_lines([*alike, b"1764000059.999 200 0.004 513 0.004", LINE.strip()], counted)
    [traffic] = counted.values()
    assert (traffic.requests, traffic.bytes) == (502, 501 * 512 + 513)
    assert traffic.latencies[3] == 502


def test_an_error_of_the_app_s_own_is_not_a_refusal() -> None:
    counted: dict[int, Traffic] = {}
    count_lines([b"1764000000.000 502 0.010 90 0.009"], counted)
    assert counted[1764000000].refused == 0


def test_a_cut_off_line_is_no_request() -> None:
    counted: dict[int, Traffic] = {}
    count_lines([b"", b"1764000", b"1764000000.000 x 0.010 90 -"], counted)
    assert counted == {}


def test_only_whole_new_lines_are_read(tmp_path: Path) -> None:
    logs, log = TrafficLogs(tmp_path), tmp_path / "x.log"
    assert logs.mark("x") == Mark()
    log.write_bytes(LINE)
    mark = logs.mark("x")
    with log.open("ab") as out:
        out.write(LINE * 2 + LINE[:10])
    counted, after = logs.since("x", mark)
    assert total(counted.values()).requests == 2
    with log.open("ab") as out:
        out.write(LINE[10:])
    assert total(logs.since("x", after)[0].values()).requests == 1


def test_a_rotation_loses_no_line(tmp_path: Path) -> None:
    logs, log = TrafficLogs(tmp_path), tmp_path / "x.log"
    log.write_bytes(LINE)
    mark = logs.mark("x")
    with log.open("ab") as out:
        out.write(LINE)
    log.replace(tmp_path / "x.log.1")
    log.write_bytes(LINE * 3)
    counted, after = logs.since("x", mark)
    assert total(counted.values()).requests == 4
    assert logs.since("x", after) == ({}, after)


def test_the_short_count_says_the_same_as_the_long_one(tmp_path: Path) -> None:
    logs, log = TrafficLogs(tmp_path), tmp_path / "x.log"
    assert logs.served_since("x", Mark()) == (0, 0)
    for status in (200, 404, 499, 500, 502, 503, 504):
        for header in (b"0.009", b"-", b"0.100, -", b"-, 0.100"):
            with log.open("ab") as out:
                out.write(b"1764000000.000 %d 0.010 502 %b\n" % (status, header))
    whole = total(logs.since("x", Mark())[0].values())
    assert logs.served_since("x", Mark()) == (whole.requests, whole.refused) == (28, 6)
    log.replace(tmp_path / "x.log.1")
    log.write_bytes(LINE[:-1])
    assert logs.served_since("x", Mark((tmp_path / "x.log.1").stat().st_ino)) == (28, 6)


def test_percentiles_are_bounds_that_hold() -> None:
    traffic = Traffic()
    for milliseconds in (*[4] * 98, 90, 90000):
        traffic.count(200, milliseconds, 1, by_app=True)
    assert [traffic.percentile(part) for part in (0.5, 0.99, 1.0)] == [5, 100, BOUNDS_MS[-1]]
    assert Traffic().percentile(0.5) is None
