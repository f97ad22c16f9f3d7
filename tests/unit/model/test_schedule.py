"""Cron expressions and time zones: what is refused, and when things are due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.schedule import (
    MANY,
    InvalidCron,
    InvalidZone,
    due_between,
    next_after,
    parse_schedule,
    parse_zone,
)

BERLIN = "Europe/Berlin"
HOUR, DAY = 3600.0, 86400.0


def at(*fields: int, zone: str = "UTC", fold: int = 0) -> float:
    return datetime(*fields, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[misc,arg-type]


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "@reboot",
        "@nightly",
        "² * * * *",
        "٣ * * * *",
        "9" * 5000 + " * * * *",
        "* * * * * ; id",
        "0 3 * * *\n* * * * *",
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidCron):
        parse_schedule(text)


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../../etc/passwd", "/etc/localtime", "posix", "Europe", "A" * 300]
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidZone):
        parse_zone(zone)


@given(st.text(max_size=40) | st.from_regex(r"[0-9*/,LW#@a-z-]{1,6}( [0-9*/,LW#-]{1,5}){4}"))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except InvalidCron:
        return
    assert next_after(schedule, DAY) > DAY


def test_blanks_and_words_are_as_in_crontab() -> None:
    assert parse_schedule(" 30  3 * *\t1-5 ") == "30 3 * * 1-5"
    assert next_after("@daily", 1.0) == DAY
    assert next_after("@weekly", 0.0) == 3 * DAY
    assert next_after("0 0 * * MON", 0.0) == 4 * DAY


def test_a_zone_moves_the_hour_with_summer_and_winter() -> None:
    january, july = at(2026, 1, 10), at(2026, 7, 10)
    assert shown(next_after("30 3 * * *", january, BERLIN)) == "01-10 02:30"
    assert shown(next_after("30 3 * * *", july, BERLIN)) == "07-10 01:30"


def test_a_time_that_summer_leaves_out_is_made_up_for() -> None:
    moment = next_after("30 2 * * *", at(2026, 3, 28, 12), BERLIN)
    assert shown(moment) == "03-29 01:00"
    assert shown(next_after("30 2 * * *", moment, BERLIN)) == "03-30 00:30"


def test_a_time_that_comes_twice_in_autumn_runs_once() -> None:
    moment = next_after("30 2 * * *", at(2026, 10, 24, 12), BERLIN)
    assert shown(moment) == "10-25 00:30"
    assert shown(next_after("30 2 * * *", moment, BERLIN)) == "10-26 01:30"
    # Also seen from within the second of the two hours.
    second = at(2026, 10, 25, 2, 10, zone=BERLIN, fold=1)
    assert shown(next_after("30 2 * * *", second, BERLIN)) == "10-26 01:30"
    # What runs every hour goes on doing so: in that night there are 25.
    assert due_between("0 * * * *", at(2026, 10, 24, 22) - 1, at(2026, 10, 25, 22, 59), BERLIN) == (
        at(2026, 10, 25, 22),
        24,
    )


def test_what_was_due_is_the_last_time_and_how_many_came_before() -> None:
    assert due_between("0 * * * *", 0.0, HOUR - 1, "UTC") is None
    assert due_between("0 * * * *", 0.0, HOUR, "UTC") == (HOUR, 0)
    assert due_between("0 * * * *", HOUR, HOUR, "UTC") is None
    assert due_between("0 * * * *", 0.0, 3.5 * HOUR, "UTC") == (3 * HOUR, 2)
    # A clock that was set back: nothing is due before it is where it was.
    assert due_between("* * * * *", 2 * HOUR, HOUR, "UTC") is None


def test_a_year_of_minutes_is_not_counted_one_by_one() -> None:
    assert due_between("* * * * *", 0.0, 365 * DAY + 1, "UTC") == (365 * DAY, MANY)
    assert due_between("0 0 1 1 *", 1.0, 3 * 366 * DAY, "UTC") == (at(1973, 1, 1), 2)
