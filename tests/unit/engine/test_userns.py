"""Who gets which user ids."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from paas.engine.userns import BLOCK_SIZE, RANGE_SIZE, NoUserIds, UserRange, UserRanges
from paas.host.database import Database
from paas.model.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "root")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.fixture
def ranges(layout: Layout, etc: Path) -> UserRanges:
    db = Database(layout.engine_database, files("paas.engine") / "migrations")
    return UserRanges(layout, db, etc=etc)


def test_says_when_no_ids_are_left(ranges: UserRanges, etc: Path) -> None:
    (etc / "subuid").write_text(f"greedy:0:{2**32 - 1}\n")
    with pytest.raises(NoUserIds, match="No block"):
        ranges.range_for("app:1")
    assert "paas" not in (etc / "subuid").read_text()


def test_leaves_lines_of_others_alone(ranges: UserRanges, layout: Layout, etc: Path) -> None:
    (etc / "subuid").write_text(f"# kept\nother:{0x7000_0000 + 5}:10\nbroken line\n")
    (etc / "subgid").write_text(f"other:{0x7100_0000}:65536\n")
    base = ranges.range_for("app:1").base
    assert base == 0x7200_0000
    lines = (etc / "subuid").read_text().splitlines()
    assert lines[:3] == ["# kept", f"other:{0x7000_0000 + 5}:10", "broken line"]
    assert lines[3] == f"{layout.user}:{base}:{BLOCK_SIZE}"
    assert (etc / "subgid").read_text().splitlines()[1:] == lines[3:]
    assert (etc / "subuid").stat().st_mode & 0o777 == 0o644


def test_an_owner_keeps_its_range(ranges: UserRanges) -> None:
    first, second = ranges.range_for("app:1"), ranges.range_for("app:2")
    assert second.base == first.base + RANGE_SIZE
    assert ranges.range_for("app:1") == first


def test_a_released_range_is_used_again(ranges: UserRanges) -> None:
    first = ranges.range_for("app:1")
    ranges.range_for("app:2")
    ranges.release("app:1")
    assert ranges.range_for("app:3") == first


def test_takes_a_second_block_when_the_first_is_full(ranges: UserRanges, etc: Path) -> None:
    bases = {ranges.range_for(f"app:{number}").base for number in range(257)}
    assert len(bases) == 257
    assert len((etc / "subuid").read_text().splitlines()) == 2


def test_a_line_in_one_table_alone_is_not_ours(
    ranges: UserRanges, layout: Layout, etc: Path
) -> None:
    (etc / "subuid").write_text(f"{layout.user}:{0x7000_0000}:{BLOCK_SIZE}\n")
    assert ranges.range_for("app:1").base == 0x7100_0000


def test_unregistering_removes_our_lines_only(ranges: UserRanges, etc: Path) -> None:
    (etc / "subuid").write_text("other:100000:65536\n")
    ranges.range_for("app:1")
    ranges.unregister()
    assert (etc / "subuid").read_text() == "other:100000:65536\n"
    assert (etc / "subgid").read_text() == ""


def moved(layout: Layout, etc: Path, *owners: str) -> UserRanges:
    """The ranges of these owners, on a machine that has never heard of them."""
    db = Database(layout.engine_database, files("paas.engine") / "migrations")
    old = UserRanges(layout, db, etc=etc)
    for owner in owners:
        old.range_for(owner)
    old.unregister()
    return old


def unused(_: UserRange) -> bool:
    return False


def test_on_another_machine_the_blocks_are_registered_again(layout: Layout, etc: Path) -> None:
    ranges = moved(layout, etc, "build", "app:1")
    before = [ranges.find(owner) for owner in ("build", "app:1")]
    assert ranges.settle(unused) == []
    assert [ranges.find(owner) for owner in ("build", "app:1")] == before
    lines = [f"{layout.user}:{0x7000_0000}:{BLOCK_SIZE}"]
    assert (etc / "subuid").read_text().splitlines() == lines
    assert (etc / "subgid").read_text().splitlines() == lines
    assert ranges.settle(unused) == []
    assert (etc / "subuid").read_text().splitlines() == lines


def test_ids_that_another_machine_gave_to_somebody_are_left_to_them(
    layout: Layout, etc: Path
) -> None:
    ranges = moved(layout, etc, "build", "app:1")
    (etc / "subgid").write_text(f"podman:{0x7000_0000 + 100}:65536\n")
    before = [UserRange(0x7000_0000), UserRange(0x7000_0000 + RANGE_SIZE)]
    assert ranges.settle(unused) == before
    after = [UserRange(0x7100_0000), UserRange(0x7100_0000 + RANGE_SIZE)]
    assert [ranges.find(owner) for owner in ("build", "app:1")] == after
    assert ranges.settle(unused) == []


def test_a_range_that_is_in_use_is_kept(layout: Layout, etc: Path) -> None:
    ranges = moved(layout, etc, "build", "app:1")
    (etc / "subuid").write_text(f"podman:{0x7000_0000}:65536\n")
    busy = ranges.find("app:1")
    assert ranges.settle(lambda one: one == busy) == [UserRange(0x7000_0000)]
    assert ranges.find("app:1") == busy
    assert ranges.find("build") == UserRange(0x7100_0000)


def test_a_new_owner_on_another_machine_gets_nobody_elses_range(layout: Layout, etc: Path) -> None:
    ranges = moved(layout, etc, "build", "app:1")
    assert ranges.range_for("app:2").base == 0x7100_0000
