"""Cron expressions against an oracle that looks at every minute: zones, clock changes, dates.

The oracle knows nothing of how schedules are walked. It builds the sets of an expression from
what the expression was written from, and asks the tz database what each minute is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.model.schedule import InvalidCron, due_between, next_after, parse_schedule

MINUTE, DAY = 60, 86400
DAYS = 3
"""How far the oracle looks; what comes later has to be later."""

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

ZONES = (
    "Europe/Berlin",  # the usual
    "America/Sao_Paulo",  # midnight was left out, until 2019
    "America/Santiago",  # midnight is left out, and 23:00 comes twice
    "America/Havana",  # 0:00 is left out, and comes twice
    "Africa/Cairo",  # the last hour of a day comes twice
    "Australia/Lord_Howe",  # half an hour
    "America/St_Johns",  # one minute past midnight, until 2011
    "Asia/Kathmandu",  # 5:45, no changes
    "Pacific/Apia",  # a whole day was left out in 2011
    "Antarctica/Troll",  # two hours
)


@dataclass(frozen=True)
class Field:
    """One field as it is written, and the numbers that it stands for."""

    text: str
    values: frozenset[int]

    @property
    def is_open(self) -> bool:
        """Whether it begins with a star: crontab(5) of Debian tells those apart."""
        return self.text.startswith("*")


@dataclass(frozen=True)
class Expression:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def __str__(self) -> str:
        parts = (self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(each.text for each in parts)

    def names(self, wall: datetime) -> bool:
        """Whether it names what a clock shows at that moment."""
        return (
            wall.minute in self.minute.values
            and wall.hour in self.hour.values
            and self.names_day(wall.date())
        )

    def names_day(self, day: date) -> bool:
        in_month = day.day in self.day.values
        in_week = day.isoweekday() % 7 in self.weekday.values
        either = not (self.day.is_open or self.weekday.is_open)
        named = (in_month or in_week) if either else (in_month and in_week)
        return day.month in self.month.values and named

    @property
    def is_interval(self) -> bool:
        """Whether it goes on through clock changes, as all that has a star for its time."""
        return self.minute.is_open or self.hour.is_open


def star(low: int, high: int) -> st.SearchStrategy[Field]:
    return st.just(Field("*", frozenset(range(low, high + 1))))


def term(low: int, high: int, names: list[str], base: int) -> st.SearchStrategy[Field]:
    """`5`, `MON`, `5-9`, `5-9/2`."""

    def word(number: int, *, named: bool) -> str:
        at = number - base
        return names[at] if named and 0 <= at < len(names) else f"{number}"

    def made(ends: tuple[int, int], step: int | None, named: bool) -> Field:
        first, last = min(ends), max(ends)
        if step is None and first == last:
            return Field(word(first, named=named), frozenset({first}))
        by = f"/{step}" if step is not None else ""
        text = f"{word(first, named=named)}-{word(last, named=named)}{by}"
        return Field(text, frozenset(range(first, last + 1, step or 1)))

    ends = st.tuples(st.integers(low, high), st.integers(low, high))
    same = st.integers(low, high).map(lambda number: (number, number))
    return st.builds(made, ends | same, st.none() | st.integers(1, 70), st.booleans())


def listed(
    low: int, high: int, names: list[str] | None = None, base: int = 0
) -> st.SearchStrategy[Field]:
    """`5`, `5-9/2,12`."""
    return st.lists(term(low, high, names or [], base), min_size=1, max_size=3).map(
        lambda terms: Field(
            ",".join(each.text for each in terms), frozenset().union(*(e.values for e in terms))
        )
    )


def field(
    low: int, high: int, names: list[str] | None = None, base: int = 0
) -> st.SearchStrategy[Field]:
    """The same, or one with a star."""
    stepped = st.integers(1, 70).map(
        lambda step: Field(f"*/{step}", frozenset(range(low, high + 1, step)))
    )
    some = listed(low, high, names, base)
    return star(low, high) | stepped | some | some


def weekdays() -> st.SearchStrategy[Field]:
    """7 is Sunday, as 0 is."""
    return field(0, 7, WEEKDAYS).map(
        lambda found: Field(found.text, frozenset(number % 7 for number in found.values))
    )


DAYS_OF_MONTH, MONTHS_OF_YEAR, DAYS_OF_WEEK = star(1, 31), star(1, 12), star(0, 6)

ANY = st.builds(
    Expression,
    field(0, 59),
    field(0, 23),
    field(1, 31) | DAYS_OF_MONTH,
    field(1, 12, MONTHS, 1) | MONTHS_OF_YEAR,
    weekdays() | DAYS_OF_WEEK,
)
NIGHTLY = st.builds(
    Expression, field(0, 59), listed(0, 3), DAYS_OF_MONTH, MONTHS_OF_YEAR, DAYS_OF_WEEK
)
"""At the time at which clocks are changed."""


@lru_cache
def changes(zone: str) -> tuple[int, ...]:
    """Days around which the clocks of a zone change, in seconds since the epoch."""
    known = ZoneInfo(zone)
    noons = range(int(datetime(2009, 1, 1, 12, tzinfo=UTC).timestamp()), 1924992000, DAY)
    offsets = [datetime.fromtimestamp(noon, known).utcoffset() for noon in noons]
    found = [
        noon
        for noon, here, there in zip(noons, offsets, offsets[1:], strict=False)
        if here != there
    ]
    return tuple(found or noons[:1])


OFF = st.integers(-DAY, DAY)


def moments() -> st.SearchStrategy[tuple[str, int]]:
    """A zone and a second in it: near a clock change, or anywhere."""

    def near(zone: str) -> st.SearchStrategy[tuple[str, int]]:
        at = st.sampled_from(changes(zone))
        anywhere = st.integers(1230768000, 1924992000)
        return st.builds(lambda day, off: (zone, day + off), at | at | anywhere, OFF)

    return st.sampled_from(ZONES).flatmap(near)


def named(expression: Expression, zone: str, begin: int) -> list[int]:
    """All moments of the next days, by looking at each minute."""
    known, first = ZoneInfo(zone), begin // MINUTE * MINUTE
    minutes = range(first - 2 * DAY, first + DAYS * DAY, MINUTE)
    walls = [datetime.fromtimestamp(one, known).replace(tzinfo=None) for one in minutes]
    if expression.is_interval:
        found = {
            one
            for one, wall in zip(minutes, walls, strict=True)
            if expression.names(wall.replace(fold=0))
        }
    else:
        found = set(fixed(expression, minutes, walls))
    return sorted(one for one in found if one > begin)


def fixed(expression: Expression, minutes: range, walls: list[datetime]) -> Iterator[int]:
    """Each minute that a clock shows, or leaves out, counts once: when it first has come."""
    shown = walls[0]
    for one, wall in zip(minutes, walls, strict=True):
        now = wall.replace(fold=0)
        while shown <= now:
            if expression.names(shown):
                yield one
            shown += timedelta(minutes=1)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANY | NIGHTLY, moments())
def test_the_next_moment_is_the_first_minute_that_is_named(
    expression: Expression, moment: tuple[str, int]
) -> None:
    zone, begin = moment
    expected = named(expression, zone, begin)
    end = begin // MINUTE * MINUTE + DAYS * DAY
    try:
        found = next_after(str(expression), begin, zone)
    except InvalidCron:
        assert not any(expression.names_day(day) for day in leap_years()), str(expression)
        return
    assert found > begin
    if not expected:
        assert found >= end
        return
    assert found == expected[0]
    # And so on: what is due in all of it is the last, behind all others.
    assert due_between(str(expression), begin, end - 1, zone) == (
        expected[-1], min(len(expected) - 1, 1000),
    )  # fmt: skip


def test_of_a_day_that_clocks_leave_out_and_the_next_there_is_one_first_minute() -> None:
    """Samoa's 30th of December 2011: what it names runs with what the 31st does, once."""
    begin = datetime(2011, 12, 29, 2, tzinfo=ZoneInfo("Pacific/Apia")).timestamp()
    assert due_between("0 0 * * *", begin, begin + DAYS * DAY - 1, "Pacific/Apia") == (
        datetime(2012, 1, 2, tzinfo=ZoneInfo("Pacific/Apia")).timestamp(), 2,
    )  # fmt: skip


@lru_cache
def leap_years() -> tuple[date, ...]:
    """Every date that there is, on every day of the week that it can be."""
    first = date(2000, 1, 1)
    return tuple(first + timedelta(days=number) for number in range(28 * 366))


@pytest.mark.parametrize(
    "text",
    ["0 0 30 2 *", "0 0 31 2 *", "0 0 30,31 FEB *", "0 0 31 4,6,9,11 *", "0 0 30-31 2 */2"],
)
def test_a_day_that_never_comes_is_refused(text: str) -> None:
    with pytest.raises(InvalidCron):
        parse_schedule(text)


def test_a_day_that_comes_every_four_years_is_waited_for_also_over_1900s_like_2100() -> None:
    moment = datetime(2096, 2, 29, 0, 1, tzinfo=UTC).timestamp()
    found = datetime.fromtimestamp(next_after("0 0 29 2 *", moment), UTC)
    assert found == datetime(2104, 2, 29, tzinfo=UTC)
    # Either of the two days is enough where neither has a star.
    monday = next_after("0 0 31 2 1", moment)
    assert datetime.fromtimestamp(monday, UTC).strftime("%a %b") == "Mon Feb"
