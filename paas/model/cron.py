"""Cron tasks: what an app runs at set times, and the runs that come of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from paas.errors import PaasError
from paas.model.duration import parse_duration
from paas.model.names import shown
from paas.model.schedule import parse_schedule, parse_zone
from paas.model.settings import Setting, whole

DEFAULT_TIMEOUT_SECONDS = 86400.0
"""As Dokku's: what hangs does not hang for ever."""

LATE_SECONDS = 300.0
"""A run that comes so late is late; behind that it was missed. A restart takes less."""

STEP_BACK_SECONDS = 3 * 3600.0
"""A clock that is set back by no more waits until it is again where it was, as in Debian's
cron: nothing runs twice. Behind that it had been wrong, and what it says now counts."""

MAX_COMMAND = 4096


class InvalidCronTask(PaasError):
    """A cron task that cannot be one."""


class Concurrency(Enum):
    """What happens when a run is due while an earlier one of the task goes on."""

    ALLOW = "allow"
    """Both run."""
    FORBID = "forbid"
    """The new one is skipped."""
    REPLACE = "replace"
    """The earlier one is stopped."""


class Missed(Enum):
    """What happens to runs that were due while the server was down."""

    SKIP = "skip"
    """They are recorded, as in cron(8)."""
    ONCE = "once"
    """One of them is made up for, as by anacron(8)."""


@dataclass(frozen=True)
class CronTask:
    """A command of an app, and when it is run.

    `timezone` is empty for that of the app; `maintenance` keeps it from running until it is
    resumed. A single word that names a process type runs that.
    """

    command: str
    schedule: str
    concurrency: Concurrency = Concurrency.ALLOW
    missed: Missed = Missed.SKIP
    timeout_s: float = DEFAULT_TIMEOUT_SECONDS
    timezone: str = ""
    maintenance: bool = False

    @property
    def id(self) -> str:
        """The same as long as it is the same command at the same times."""
        text = "\0".join((self.schedule, self.timezone, self.command))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]

    def to_json(self) -> dict[str, Any]:
        """In the words of app.json."""
        return {
            "command": self.command,
            "schedule": self.schedule,
            "concurrency_policy": self.concurrency.value,
            "missed": self.missed.value,
            "timeout": self.timeout_s,
            "timezone": self.timezone,
            "maintenance": self.maintenance,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> CronTask:
        """What `to_json` gave. A schedule that no longer is one is found when it is asked."""
        return cls(
            kept["command"],
            kept["schedule"],
            Concurrency(kept["concurrency_policy"]),
            Missed(kept["missed"]),
            kept["timeout"],
            kept["timezone"],
            kept["maintenance"],
        )


class RunStatus(Enum):
    """RUNNING → one of the others; SKIPPED and MISSED never ran."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELED = "canceled"
    REPLACED = "replaced"
    LOST = "lost"
    """Nobody saw how it ended: the server did first."""
    SKIPPED = "skipped"
    MISSED = "missed"

    @property
    def is_trouble(self) -> bool:
        """Somebody should hear of it."""
        return self in (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST, RunStatus.MISSED)


@dataclass(frozen=True)
class CronRun:
    """A row of the cron_runs table. Times are in seconds since the epoch.

    `due` is when it should have begun, None by hand; `until` when it is stopped; `ending` is
    the status that whoever stops it wants to see. `exit_code` is None when nobody saw one.
    """

    id: int
    app_id: int
    task: str
    command: str
    container: str
    release: int | None
    status: RunStatus
    exit_code: int | None
    detail: str
    due: float | None
    until: float
    ending: RunStatus | None
    actor: str
    started_at: float
    ended_at: float | None

    @property
    def name(self) -> str:
        """`cron.17`, as its container and its log are called."""
        return f"cron.{self.id}"

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended_at is None else max(0.0, self.ended_at - self.started_at)


def parse_task(fields: Mapping[str, object], place: str) -> CronTask:
    """A task in the words of app.json; what is not known there is left alone.

    Raises `InvalidCronTask`, `InvalidCron`, `InvalidZone`, `InvalidDuration`.
    """
    command, schedule = fields.get("command"), fields.get("schedule")
    if not isinstance(command, str) or not isinstance(schedule, str):
        raise InvalidCronTask(
            f"{place} must have a command and a schedule, both texts",
            resolution='For example {"command": "rake tidy", "schedule": "30 3 * * *"}.',
        )
    maintenance = fields.get("maintenance", False)
    if not isinstance(maintenance, bool):
        raise InvalidCronTask(f"{place}.maintenance must be true or false")
    zone = _text(fields, "timezone", place)
    return CronTask(
        parse_command(command),
        parse_schedule(schedule),
        parse_concurrency(_text(fields, "concurrency_policy", place) or "allow"),
        parse_missed(_text(fields, "missed", place) or "skip"),
        _timeout(fields.get("timeout"), place),
        parse_zone(zone) if zone else "",
        maintenance,
    )


def parse_command(text: str) -> str:
    """`text` if a shell can be given it. Raises `InvalidCronTask`."""
    if not text.strip() or "\0" in text or len(text) > MAX_COMMAND:
        raise InvalidCronTask(
            f"{shown(text)} is not a command",
            resolution=f"Write what a shell runs, in at most {MAX_COMMAND} characters.",
        )
    return text.strip()


def parse_concurrency(text: str) -> Concurrency:
    """Raises `InvalidCronTask`."""
    try:
        return Concurrency(text.lower())
    except ValueError:
        raise InvalidCronTask(
            f"{shown(text)} is not a concurrency policy", resolution="allow, forbid or replace."
        ) from None


def parse_missed(text: str) -> Missed:
    """Raises `InvalidCronTask`."""
    try:
        return Missed(text.lower())
    except ValueError:
        raise InvalidCronTask(
            f"{shown(text)} is not what happens to missed runs", resolution="skip or once."
        ) from None


def _text(fields: Mapping[str, object], name: str, place: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidCronTask(f"{place}.{name} must be a text")
    return value or ""


def _timeout(value: object, place: str) -> float:
    if value is None:
        return DEFAULT_TIMEOUT_SECONDS
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidCronTask(f"{place}.timeout must be seconds, or a text like 15m")
    return parse_duration(value if isinstance(value, str) else f"{value:.0f}")


def _on(text: str) -> bool:
    """`true` and `false` are Dokku's words for it."""
    if text not in {"true", "false", "on", "off"}:
        raise InvalidCronTask(f"{shown(text)} is neither true nor false")
    return text in {"true", "on"}


TIMEZONE = Setting("cron-timezone", parse_zone, "UTC", "The time zone of schedules", app=True)
MAINTENANCE = Setting(
    "cron-maintenance",
    _on,
    False,  # noqa: FBT003 (the default)
    "Whether cron tasks are kept from running",
    app=True,
)
RETAIN_RUNS = Setting(
    "cron-retain-runs",
    whole(1, 10000),
    100,
    "Of how many runs of a task the record is kept",
    app=True,
)
CRON_SETTINGS: Mapping[str, Setting[int] | Setting[str] | Setting[bool]] = {
    "timezone": TIMEZONE,
    "maintenance": MAINTENANCE,
    "retain-runs": RETAIN_RUNS,
}
"""By the word of `cron:set`."""
