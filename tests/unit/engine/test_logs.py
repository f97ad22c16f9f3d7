"""Parsing, tailing, following and merging log files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine import logs
from paas.engine.logs import Joiner, Line


def raw(second: int, text: str, mark: str = "F", stream: str = "stdout") -> str:
    return f"2026-01-01T00:00:{second:02d}.000000001+00:00 {stream} {mark} {text}\n"


def write(path: Path, *lines: str) -> Path:
    with path.open("a") as file:
        file.writelines(lines)
    return path


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"not-a-time stdout F x",
        b"2026-01-01T00:00:00 stdout F x",
        b"\xff\xff a b c",
    ],
)
def test_what_is_no_log_line_is_passed_over(line: bytes) -> None:
    assert Joiner("s").add(line) is None


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none", 10) == []
    assert logs.tail(write(tmp_path / "log"), 10) == []


def test_time_zones_and_nanoseconds() -> None:
    line = Joiner("web.1").add(b"2026-01-01T02:00:00.123456789+02:00 stderr F a b  c")
    assert line == Line(1767225600123456789, "web.1", "stderr", "a b  c")


def test_parts_are_joined_for_each_stream() -> None:
    joiner = Joiner("s")
    found = [
        joiner.add(raw(0, text, mark, stream).encode().rstrip(b"\n"))
        for text, mark, stream in (
            ("one ", "P", "stdout"),
            ("err", "F", "stderr"),
            ("two", "F", "stdout"),
        )
    ]
    assert [line.text for line in found if line] == ["err", "one two"]


def test_an_endless_line_does_not_fill_the_memory() -> None:
    joiner = Joiner("s")
    part = raw(0, "x" * 8192, "P").encode().rstrip(b"\n")
    assert any(joiner.add(part) for _ in range(200))


def test_tail_reads_from_the_end_in_blocks(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *(raw(n % 60, f"line {n} F {'x' * 50}") for n in range(5000)))
    found = logs.tail(log, 3000)
    assert [line.split()[1] for line in found] == [str(n) for n in range(2000, 5000)]
    assert logs.tail(log, 0) == []


def test_tail_goes_on_in_the_rotated_log(tmp_path: Path) -> None:
    log = write(tmp_path / "log", raw(3, "three"))
    write(logs.rotated(log), raw(1, "one"), raw(2, "two"))
    assert logs.tail(log, 2) == ["two", "three"]


def test_several_logs_are_in_the_order_of_time(tmp_path: Path) -> None:
    one = write(tmp_path / "1", raw(1, "a"), raw(3, "c"))
    two = write(tmp_path / "2", raw(2, "b"), raw(4, "d"))
    found = logs.merged({"web.1": one, "web.2": two}, 3)
    assert [(line.source, line.text) for line in found] == [
        ("web.2", "b"),
        ("web.1", "c"),
        ("web.2", "d"),
    ]


class Stop(Exception):
    """Ends a following."""


def test_following_sees_growth_rotation_and_newcomers(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", raw(1, "old"), raw(2, "before")), tmp_path / "2"
    sources = {"web.1": one}
    steps = iter(follow_script(one, two, sources))

    def pause(_seconds: float) -> None:
        if next(steps, None) is None:
            raise Stop

    found: list[str] = []
    with pytest.raises(Stop):
        for line in logs.follow(lambda: sources, 1, pause):
            found.append(f"{line.source} {line.text}")  # noqa: PERF401
    assert found == [
        "web.1 before",
        "web.1 after",
        "web.1 unfinished and finished",
        "web.1 last of old file",
        "web.1 first of new file",
        "web.2 hello",
        "web.1 farewell",
    ]


def follow_script(one: Path, two: Path, sources: dict[str, Path]) -> Iterator[int]:
    """What happens between two looks."""
    write(one, raw(3, "after"), raw(4, "unfinished and finished")[:60])
    yield 1
    write(one, raw(4, "unfinished and finished")[60:])
    yield 2
    write(one, raw(5, "last of old file"))
    one.rename(logs.rotated(one))
    write(one, raw(6, "first of new file"))
    yield 3
    sources["web.2"] = write(two, raw(7, "hello"))
    yield 4
    write(one, raw(8, "farewell"))
    del sources["web.1"]
    yield 5


def test_following_misses_nothing_of_a_log_rotated_twice_at_once(tmp_path: Path) -> None:
    log = write(tmp_path / "log", raw(1, "seen"))
    looks = iter(range(2))

    def pause(_seconds: float) -> None:
        if next(looks, None) is None:
            raise Stop
        for number in (2, 3):
            write(log, raw(number, f"end {number}"))
            logs.rotate(log)
        write(log, raw(4, "new"))

    found: list[str] = []
    with pytest.raises(Stop):
        for line in logs.follow(lambda: {"web.1": log}, 1, pause):
            found.append(line.text)  # noqa: PERF401
    assert found == ["seen", *["end 2", "end 3", "new"] * 2]


def test_so_many_rotated_logs_are_kept_and_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(6):
        write(log, raw(number, str(number)))
        logs.rotate(log)
    write(log, raw(6, "6"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.3"]
    assert logs.tail(log, 10) == ["3", "4", "5", "6"]
    # Killed in the middle of a rotation, one place is empty.
    logs.rotated(log, 1).unlink()
    assert logs.tail(log, 10) == ["3", "4", "6"]


def test_logs_are_removed_with_what_was_rotated(tmp_path: Path) -> None:
    log = write(tmp_path / "log", raw(1, "a"))
    write(logs.rotated(log), raw(1, "a"))
    logs.remove([log, tmp_path / "never"])
    assert list(tmp_path.iterdir()) == []
