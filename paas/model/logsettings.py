"""How much is kept of the output of ended instances, and of the journal of events."""

from __future__ import annotations

from collections.abc import Mapping

from paas.model.duration import parse_duration
from paas.model.limits import MIB
from paas.model.settings import Setting, memory, whole

RETAIN_COUNT = Setting(
    "retain-count", whole(1, 10000), 30, "Of how many ended instances logs are kept", app=True
)
RETAIN_SIZE = Setting("retain-size", memory, 512 * MIB, "How large those logs may be", app=True)
RETAIN_AGE = Setting(
    "retain-age", parse_duration, 30 * 86400.0, "For how long those logs are kept", app=True
)
LOG_SETTINGS: tuple[Setting[int] | Setting[float], ...] = (RETAIN_COUNT, RETAIN_SIZE, RETAIN_AGE)

EVENTS_COUNT = Setting(
    "events-retain-count",
    whole(1, 1_000_000),
    10_000,
    "How many events are kept of each app, and of the server",
)
EVENTS_AGE = Setting(
    "events-retain-age", parse_duration, 365 * 86400.0, "For how long events are kept"
)
EVENT_SETTINGS: Mapping[str, Setting[int] | Setting[float]] = {
    "retain-count": EVENTS_COUNT,
    "retain-age": EVENTS_AGE,
}
"""By the word of `events:set`."""
