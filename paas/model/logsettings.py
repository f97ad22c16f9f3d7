"""How much of the output of an app's ended instances is kept."""

from __future__ import annotations

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
