"""The door to cron expressions: when something is due, in a time zone.

Five fields as in crontab(5), or one of its words (`@daily`). Where clocks change, as Debian's
cron does it: what names an hour that is left out runs behind it, what names one that comes
twice runs once, and what runs every hour goes on doing so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
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
    """All times behind `begin`. Raises `InvalidCron`, also when there are no more."""
    fields = WORDS.get(expression.lower(), expression)
    if len(expression) > LONGEST or len(fields.split()) != FIELDS or not fields.isascii():
        raise InvalidCron(expression)
    try:
        for found in CronSim(fields, datetime.fromtimestamp(begin, _zone(zone))):
            # In the second of two equal hours cronsim begins with the first.
            if (moment := found.timestamp()) > begin:
                yield moment
    except (CronSimError, ValueError, OverflowError):
        raise InvalidCron(expression) from None
    # cronsim has looked through 50 years.
    raise InvalidCron(expression)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        # As cronsim knows it, which then has no clock changes to think of.
        return UTC
    if len(name) > LONGEST or not ZONE.fullmatch(name):
        raise InvalidZone(name)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidZone(name) from None
