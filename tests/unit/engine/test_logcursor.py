"""Reading logs on from where one was: over rotations, parts of lines, and what is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

from paas.engine import logs
from paas.engine.logcursor import Position, Read, read


def record(number: int, mark: str = "F", stream: str = "stdout") -> str:
    return f"2026-01-01T00:00:00.{number:09d}+00:00 {stream} {mark} line {number}\n"


def write(path: Path, *records: str) -> None:
    with path.open("a") as file:
        file.writelines(records)


def texts(found: Read) -> list[str]:
    return [line.text for line in found.lines]


def test_a_log_that_is_not_there_has_nothing_and_is_no_gap(tmp_path: Path) -> None:
    assert read(tmp_path / "log", None) == Read([], None)
    place = Position(7, 9)
    assert read(tmp_path / "log", place) == Read([], place)


def test_it_goes_on_behind_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, record(1), record(2))
    first = read(path, None)
    assert texts(first) == ["line 1", "line 2"]
    assert texts(read(path, first.position)) == []
    write(path, record(3), record(4)[:-5])
    second = read(path, first.position)
    assert texts(second) == ["line 3"]
    write(path, record(4)[-5:])
    assert texts(read(path, second.position)) == ["line 4"]


def test_rotations_lose_nothing_until_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, record(1))
    place = read(path, None).position
    for number in (2, 3):
        write(path, record(number))
        logs.rotate(path)
    write(path, record(4))
    found = []
    while step := (got := read(path, place)).lines:
        assert not got.gap
        found += [line.text for line in step]
        place = got.position
    assert found == ["line 2", "line 3", "line 4"]
    for number in range(5, 10):
        write(path, record(number))
        logs.rotate(path)
    got = read(path, place)
    assert got.gap
    assert texts(got) == ["line 7"]
    assert not read(path, got.position).gap


def test_it_goes_on_in_a_copy_whose_files_have_other_inodes(tmp_path: Path) -> None:
    """As of a server that was moved to another machine."""
    (tmp_path / "old").mkdir()
    path = tmp_path / "old/log"
    write(path, record(1), record(2))
    place = read(path, None).position
    write(path, record(3))
    logs.rotate(path)
    write(path, record(4))
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    first = read(tmp_path / "new/log", place)
    assert (texts(first), first.gap) == (["line 3"], False)
    second = read(tmp_path / "new/log", first.position)
    assert (texts(second), second.gap) == (["line 4"], False)


def test_a_line_in_parts_goes_on_after_a_rotation_and_beside_another_stream(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    write(path, record(1, "P"), record(2, stream="stderr"))
    first = read(path, None)
    assert texts(first) == ["line 2"]
    # What has begun is neither lost nor is the other stream read again.
    assert texts(read(path, first.position)) == []
    logs.rotate(path)
    write(path, record(3))
    assert texts(read(path, first.position)) == ["line 1line 3"]


def test_so_much_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, *(record(number) for number in range(100)))
    found, place = [], None
    while (got := read(path, place, limit=200)).lines:
        assert len(got.lines) <= 4
        found += texts(got)
        place = got.position
    assert found == [f"line {number}" for number in range(100)]


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 500)
    write(path, "\n", record(1))
    found, place = [], None
    for _ in range(10):
        got = read(path, place, limit=200)
        found += texts(got)
        place = got.position
    assert found == ["line 1"]
