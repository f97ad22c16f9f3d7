"""Which backups are forgotten, and when the next one is due: pure calculations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from paas.deploy.services_backup import DAY_SECONDS, superfluous
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.schedule import InvalidCron, next_after

NOW = 100 * DAY_SECONDS


def backup(number: int, verdict: Verdict = Verdict.GOOD) -> Backup:
    """Made `number` days after the epoch; the newest has the highest number."""
    return Backup(
        number, "p", "s", "1", "/t", "f", verdict, "", 1, "", 1.0, number * DAY_SECONDS, True
    )  # fmt: skip


def schedule(count: int = 0, days: int = 0) -> Schedule:
    return Schedule(1, "* * * * *", "/t", count, days, True, 0.0)


def gone(made: list[Backup], rule: Schedule) -> list[int]:
    return [one.id for one in superfluous(made, rule, NOW)]


MADE = [backup(number) for number in (99, 98, 97, 60)]


def test_count_and_age_are_both_kept_to() -> None:
    assert gone(MADE, schedule()) == []
    assert gone(MADE, schedule(count=2)) == [97, 60]
    assert gone(MADE, schedule(days=30)) == [60]
    assert gone(MADE, schedule(count=1, days=30)) == [98, 97, 60]


def test_the_newest_that_can_be_restored_is_never_forgotten() -> None:
    old = [backup(99, Verdict.BAD), backup(50)]
    assert gone(old, schedule(days=1)) == []
    assert gone(old, schedule(count=1)) == []


def test_bad_ones_take_no_place_of_good_ones_and_do_not_pile_up() -> None:
    bad = [backup(number, Verdict.BAD) for number in range(98, 91, -1)]
    assert gone([backup(99), *bad], schedule(count=7)) == []
    assert gone([backup(99), *bad], schedule(count=3)) == [95, 94, 93, 92]
    assert gone([*bad, backup(50), backup(49)], schedule(count=2)) == [96, 95, 94, 93, 92]
    assert gone(bad, schedule(days=4)) == [95, 94, 93, 92]
    made = [backup(99, Verdict.RUNNING), backup(98), bad[1], backup(96), bad[3]]
    assert gone(made, schedule(count=1)) == [96, 95]


def test_one_that_was_good_is_not_forgotten_for_a_failed_check() -> None:
    proven = [replace(backup(number, Verdict.BAD), proven=True) for number in (97, 96, 95)]
    failed = [backup(number, Verdict.BAD) for number in (99, 98)]
    assert gone([*failed, *proven], schedule(count=1)) == [98, 96, 95]
    assert gone([*failed, *proven], schedule(days=1)) == [98, 96, 95]
    # Beside good ones it goes when it would have gone as one of them, and takes no place.
    assert gone([backup(99), *proven, backup(90)], schedule(count=2)) == [96, 95]
    assert gone([backup(99), backup(98), *proven], schedule(count=2)) == [97, 96, 95]


def test_the_next_time_is_behind_the_moment_and_in_utc() -> None:
    moment = datetime(2026, 3, 1, 3, 30, tzinfo=UTC).timestamp()
    assert next_after("30 3 * * *", moment) == moment + DAY_SECONDS
    assert next_after("30 3 * * *", moment - 1) == moment


@pytest.mark.parametrize("expression", ["", "x", "61 * * * *", "* * * *", "0 0 31 2 *"])
def test_what_is_no_expression_or_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(InvalidCron):
        next_after(expression, NOW)
