"""Logs are read to their last line and beyond, whatever becomes of the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paas.proxy import logs
from paas.proxy.logs import BLOCK, FOLLOW_S, follow, last, rotated


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def say(log: Path, text: str) -> None:
    with log.open("a") as out:
        out.write(text)


def rotate(log: Path) -> None:
    log.replace(rotated(log))


class Over(Exception):
    """The looks are over."""


def seen(
    log: Callable[[], Path | None], count: int, *steps: Callable[[], object]
) -> Iterator[bytes]:
    """What a follower says while one step is made between two looks."""
    left = iter(steps)

    def pause(seconds: float) -> None:
        assert seconds == FOLLOW_S
        step = next(left, None)
        if step is None:
            raise Over
        step()

    with suppress(Over):
        yield from follow(log, count, pause)


# -- failures first ----------------------------------------------------------------------


def test_a_log_that_is_not_there_has_no_lines_until_it_comes(log: Path) -> None:
    assert last(log, 10) == b""
    steps = (lambda: None, lambda: say(log, "first\n"))
    assert b"".join(seen(lambda: log, 10, *steps)) == b"first\n"


def test_a_follower_of_nobody_s_log_ends(log: Path) -> None:
    assert list(follow(lambda: None, 10)) == []
    say(log, "old\n")
    owners: list[Path | None] = [log, None]
    assert b"".join(seen(lambda: owners.pop(0), 10)) == b"old\n"


def test_a_log_that_goes_while_it_is_followed_is_waited_for(log: Path) -> None:
    say(log, "old\n")
    steps = (log.unlink, lambda: None, lambda: say(log, "new\n"))
    assert b"".join(seen(lambda: log, 10, *steps)) == b"old\nnew\n"


def test_a_log_that_somebody_empties_is_read_from_its_start(log: Path) -> None:
    say(log, "a long line\n")

    def empty() -> None:
        os.truncate(log, 0)
        say(log, "new\n")

    assert b"".join(seen(lambda: log, 0, empty)) == b"new\n"


def test_what_cannot_be_read_is_no_absent_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        last(tmp_path / "file" / "x.log", 1)


def test_no_descriptor_stays_open(log: Path) -> None:
    say(log, "1\n")

    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    last(log, 1)
    steps = [step for _ in range(3) for step in (lambda: rotate(log), lambda: say(log, "2\n"))]
    assert b"".join(seen(lambda: log, 1, *steps)) == b"1\n2\n2\n2\n"
    assert opened() == before


# -- the last lines ----------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 100])
def test_the_last_lines_reach_into_the_rotated_log(log: Path, count: int) -> None:
    say(log, "1\n2\n")
    rotate(log)
    say(log, "3\n4")
    lines = [b"1\n", b"2\n", b"3\n"]
    assert last(log, count) == b"".join(lines[-count:] if count else [])


def test_just_after_a_rotation_there_is_still_something_to_see(log: Path) -> None:
    say(log, "1\n2\n")
    rotate(log)
    assert last(log, 1) == b"2\n"
    assert b"".join(seen(lambda: log, 1, lambda: say(log, "3\n"))) == b"2\n3\n"


def test_a_long_log_is_read_from_its_end(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "x" * 1000
    say(log, "".join(f"{k} {line}\n" for k in range(5000)))
    pread, read = os.pread, []

    def counting(fd: int, size: int, offset: int) -> bytes:
        read.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counting)
    assert last(log, 3) == "".join(f"{k} {line}\n" for k in (4997, 4998, 4999)).encode()
    assert read == [BLOCK]
    assert last(log, 4000).startswith(b"1000 x")
    assert last(log, 100_000).count(b"\n") == 5000


def test_a_line_ends_at_its_newline_and_nowhere_else(log: Path) -> None:
    """A carriage return or a form feed of a client makes no line of its own."""
    log.write_bytes(b"1 a\rb\x0cc\x0bd\x85e\n2\n")
    assert last(log, 2) == b"1 a\rb\x0cc\x0bd\x85e\n2\n"
    assert last(log, 1) == b"2\n"


# -- following ---------------------------------------------------------------------------


def test_each_line_comes_once_and_whole(log: Path) -> None:
    say(log, "1\n2\n3 be")
    steps = (
        lambda: say(log, "gun\n4\n5"),
        lambda: None,
        lambda: say(log, "\n"),
    )
    assert list(seen(lambda: log, 1, *steps)) == [b"2\n", b"3 begun\n4\n", b"5\n"]


def test_an_endless_line_is_passed_on_in_parts(log: Path) -> None:
    steps = (lambda: say(log, "x" * (BLOCK + 9)), lambda: say(log, "\nend\n"))
    assert b"".join(seen(lambda: log, 0, *steps)) == b"x" * (BLOCK + 9) + b"\nend\n"


def test_a_rotation_loses_no_line_nor_what_a_slow_worker_still_writes(log: Path) -> None:
    say(log, "1\n")

    def both() -> None:
        say(rotated(log), "3\n")
        say(log, "4\n")

    steps = (
        lambda: rotate(log),
        lambda: say(rotated(log), "2\n"),
        both,
        lambda: say(rotated(log), "5\n"),
        lambda: say(log, "6\n"),
    )
    assert b"".join(seen(lambda: log, 10, *steps)) == b"1\n2\n3\n4\n5\n6\n"


@pytest.mark.parametrize(("rotations", "lost"), [(1, []), (2, []), (3, [b"3\n"])])
def test_a_reader_who_was_away_gets_all_that_is_still_there(
    log: Path, rotations: int, lost: list[bytes]
) -> None:
    """Whoever stops his terminal stops the follower, not nginx."""
    say(log, "1\n")

    def meanwhile() -> None:
        for number in range(2, rotations + 2):
            say(log, f"{number}\n")
            rotate(log)
        say(log, "end\n")

    found = b"".join(seen(lambda: log, 10, meanwhile)).splitlines(keepends=True)
    written = [*(b"%d\n" % number for number in range(1, rotations + 2)), b"end\n"]
    assert found == [line for line in written if line not in lost]


def test_a_rotation_while_the_files_are_opened_shows_nothing_twice(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(log, "1\n")
    opened = os.open

    def rotating(path: Path, flags: int) -> int:
        fd = opened(path, flags)
        monkeypatch.undo()
        rotate(log)
        return fd

    monkeypatch.setattr(logs.os, "open", rotating)
    assert b"".join(seen(lambda: log, 10, lambda: say(log, "2\n"))) == b"1\n2\n"


def test_a_renamed_log_is_followed_under_its_new_name(log: Path, tmp_path: Path) -> None:
    """Not whatever has the old name by then."""
    say(log, "1\n")
    new, names = tmp_path / "new.log", [log, log]

    def rename() -> None:
        log.replace(new)
        say(log, "another's\n")
        names[:] = [new] * 9

    steps = (rename, lambda: say(new, "2\n"), lambda: rotate(new), lambda: say(new, "3\n"))
    assert b"".join(seen(lambda: names.pop(0), 10, *steps)) == b"1\n2\n3\n"
