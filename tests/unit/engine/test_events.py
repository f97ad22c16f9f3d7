"""The journal: bounded, whole lines, followed over its own rotation."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.events import Journal
from paas.host.clock import SystemClock
from paas.model.layout import Layout


def journal(tmp_path: Path, most_bytes: int = 1 << 20) -> Journal:
    layout = Layout.at(tmp_path)
    layout.engine.mkdir(exist_ok=True)
    return Journal(layout, SystemClock(), most_bytes)


def test_what_a_power_cut_tore_is_passed_over(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.add("create", "c1", image="i")
    path = tmp_path / "engine/events.log"
    path.write_bytes(path.read_bytes() + b'{"time": 1, "acti\n\xff\n{"time": 2}\n')
    one.add("start", "c1")
    assert [event.action for event in one.read()] == ["create", "start"]
    assert [event.action for event in one.read(1)] == ["start"]
    assert one.read(0) == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_keeps_nobody_from_what_was_to_be_recorded(tmp_path: Path) -> None:
    one = journal(tmp_path)
    path = tmp_path / "engine/events.log"
    path.symlink_to("/dev/full")
    one.add("die", "c1")
    path.unlink()
    one.add("die", "c2")
    assert [event.container for event in one.read()] == ["c2"]


def test_an_empty_journal_has_no_events(tmp_path: Path) -> None:
    assert journal(tmp_path).read() == []


def test_it_is_bounded_and_its_end_is_kept(tmp_path: Path) -> None:
    one = journal(tmp_path, 2000)
    for number in range(500):
        one.add("start", f"c{number}")
    kept = one.read()
    assert [event.container for event in kept] == [f"c{500 - len(kept) + n}" for n in
                                                   range(len(kept))]  # fmt: skip
    assert sum(path.stat().st_size for path in (tmp_path / "engine").glob("events.log*")) < 4200


class Enough(Exception):
    """The test has seen all."""


@pytest.mark.parametrize("before", [0, 3])
def test_following_misses_none_over_a_rotation(tmp_path: Path, before: int) -> None:
    one = journal(tmp_path, 1000)
    for number in range(before):
        one.add("old", str(number))
    rounds = iter(range(10))
    wanted = [f"{number}.{inner}" for number in range(10) for inner in range(3)]

    def pause(_: float) -> None:
        number = next(rounds, None)
        if number is None:
            raise Enough
        for inner in range(3):
            one.add("new", f"{number}.{inner}")

    seen = []
    with pytest.raises(Enough):
        for event in one.follow(pause):
            seen.append(event.container)  # noqa: PERF401  what came before it ended counts
    assert seen == wanted
