"""The door to cron expressions: when something is due, in a time zone.

Five fields as in crontab(5), or one of its words (`@daily`). Where clocks change, as Debian's
cron does it: what names an hour that is left out runs behind it, what names one that comes
twice runs once, and what runs every hour goes on doing so.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from paas.errors import PaasError
from paas.model.names import shown

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""crontab(5); not `@reboot`, which is no time."""

FIELDS = 5
LONGEST = 200
MANY = 1000
"""So far missed runs are counted."""

WINDOWS = (86400.0, 31 * 86400.0)
"""Seconds before now, in which the last time is looked for before it is looked for in all."""

ONE_DAY = timedelta(days=1)
SECONDS_OF_DAY = 86400
PATIENCE_DAYS = 50 * 366
"""So long a day may not come that an expression names; the 29th of February takes 8 years."""

SAME = re.compile(r"\b(\w+)-\1/[0-9]+", re.IGNORECASE)
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")


class InvalidCron(PaasError):
    """No cron(5) expression."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{shown(text)} is not a cron expression",
            resolution='Write five fields, like "30 3 * * *" for 3:30 each night, or @daily.',
        )


class InvalidZone(PaasError):
    """No time zone of the tz database."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{shown(text)} is not a time zone",
            resolution="Write it like UTC or Europe/Berlin: timedatectl list-timezones.",
        )


def parse_schedule(text: str) -> str:
    """`text` with single blanks if it names moments to come. Raises `InvalidCron`."""
    words = " ".join(text.split())
    next_after(words, 0.0)
    return words


def parse_zone(text: str) -> str:
    """`text` if it names a time zone, like `Europe/Berlin`. Raises `InvalidZone`."""
    _zone(text)
    return text


@lru_cache(maxsize=4096)
def next_after(expression: str, moment: float, zone: str = "UTC") -> float:
    """The first time behind `moment` that a crontab(5) expression names in a time zone.

    Both are in seconds since the epoch. Raises `InvalidCron`, also for a day that never comes.
    """
    return next(_simulation(expression, moment, zone))


def due_between(expression: str, begin: float, end: float, zone: str) -> tuple[float, int] | None:
    """The last time behind `begin`, and not behind `end`, that an expression names, and how
    many there were before it (`MANY` at most). None when there is none.
    """
    if next_after(expression, begin, zone) > end:
        return None
    last = begin
    for window in (*WINDOWS, end - begin):
        found = list(_moments(expression, max(begin, end - window), end, zone))
        if found:
            last = found[-1]
            break
    before = sum(1 for _ in islice(_moments(expression, begin, end, zone), MANY + 1)) - 1
    return last, before


def _moments(expression: str, begin: float, end: float, zone: str) -> Iterator[float]:
    for moment in _simulation(expression, begin, zone):
        if moment > end:
            return
        yield moment


def _simulation(expression: str, begin: float, zone: str) -> Iterator[float]:
    """All times behind `begin`, in their order. Raises `InvalidCron`, also when there are no
    more.
    """
    clock, plan = _zone(zone), _plan(expression)
    try:
        # Where clocks go back over midnight, the day before is not over yet.
        day = datetime.fromtimestamp(begin, clock).date() - ONE_DAY
        waiting: list[float] = []
        idle = 0
        while idle < PATIENCE_DAYS:
            found = plan.moments_of(day, clock)
            idle = 0 if found else idle + 1
            waiting = sorted({*waiting, *found})
            # What a later day has comes behind this: no clock goes back by a day.
            past = bisect_right(waiting, _midnight(day, clock))
            for moment in waiting[:past]:
                # A day that clocks leave out whole comes with the first minute of the next.
                if moment > begin:
                    yield moment
                    begin = moment
            waiting = waiting[past:]
            day += ONE_DAY
    except (ValueError, OverflowError):
        raise InvalidCron(expression) from None
    raise InvalidCron(expression)


@dataclass(frozen=True)
class _Plan:
    """What an expression names. `is_interval` says that it goes on where clocks change: its
    minute or hour begins with a star (cron(8) of Debian).
    """

    seconds: tuple[int, ...]
    """Of a day: its hours and minutes."""
    names_day: Callable[[date], bool]
    is_interval: bool

    def moments_of(self, day: date, clock: tzinfo) -> Iterable[float]:
        """The times of a day, in no order."""
        if not self.names_day(day):
            return ()
        midnight = _midnight(day, clock)
        if _is_plain(day, clock, midnight):
            return [midnight + second for second in self.seconds]
        begin = datetime.combine(day, time())
        walls = [begin + timedelta(seconds=second) for second in self.seconds]
        if self.is_interval:
            return {moment for wall in walls for moment in _shown_at(wall, clock)}
        return {min(_shown_at(wall, clock) or [_left_out(wall, clock)]) for wall in walls}


@lru_cache(maxsize=1024)
def _plan(expression: str) -> _Plan:
    """Raises `InvalidCron`."""
    fields = WORDS.get(expression.lower(), expression)
    if len(expression) > LONGEST or len(fields.split()) != FIELDS or not fields.isascii():
        raise InvalidCron(expression)
    try:
        # To cronsim `5-5/10` is `5/10`, which is more than 5.
        parsed = CronSim(SAME.sub(r"\1", fields), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise InvalidCron(expression) from None
    minute, hour = fields.split()[:2]
    return _Plan(
        tuple(3600 * h + 60 * m for h in sorted(parsed.hours) for m in sorted(parsed.minutes)),
        lambda day: day.month in parsed.months and parsed.match_day(day),
        is_interval=minute.startswith("*") or hour.startswith("*"),
    )


def _midnight(day: date, clock: tzinfo) -> float:
    return datetime.combine(day, time(), clock).timestamp()


def _is_plain(day: date, clock: tzinfo, midnight: float) -> bool:
    """Whether no clock changes within a day: almost all are so."""
    begin, end = datetime.fromtimestamp(midnight, clock), _midnight(day + ONE_DAY, clock)
    return (
        end - midnight == SECONDS_OF_DAY
        and begin == datetime.combine(day, time(), clock)
        and begin.date() == day
        and begin.utcoffset() == datetime.fromtimestamp(end - 1, clock).utcoffset()
    )


def _shown_at(wall: datetime, clock: tzinfo) -> list[float]:
    """When clocks show that: once, twice, or never."""
    both = {wall.replace(tzinfo=clock, fold=fold).timestamp() for fold in (0, 1)}
    return [
        moment
        for moment in both
        if datetime.fromtimestamp(moment, clock).replace(tzinfo=None, fold=0) == wall
    ]


def _left_out(wall: datetime, clock: tzinfo) -> float:
    """When a time that clocks leave out is over: the moment of the change."""
    before, after = (wall.replace(tzinfo=clock, fold=fold) for fold in (0, 1))
    # Read by either offset it is on the other side of the change (PEP 495).
    seconds = range(int(after.timestamp()), int(before.timestamp()) + 1)
    changed = bisect_left(
        seconds,
        after.utcoffset() or timedelta(),
        key=lambda second: datetime.fromtimestamp(second, clock).utcoffset() or timedelta(),
    )
    return float(seconds[changed])


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        # Without the tz database.
        return UTC
    if len(name) > LONGEST or not ZONE.fullmatch(name):
        raise InvalidZone(name)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidZone(name) from None
