"""Backups of services: what was copied where, and whether it can be restored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """RUNNING → UNCHECKED → GOOD or BAD; RUNNING → BAD when it failed or was killed.

    Of one that is stored, BAD says that it is damaged or that the server refuses it. A check
    that cannot be made says nothing of it.
    """

    RUNNING = "running"
    UNCHECKED = "unchecked"
    GOOD = "good"
    BAD = "bad"

    @property
    def can_restore(self) -> bool:
        """Whether it is worth a try: it is there, and no check failed."""
        return self in (Verdict.UNCHECKED, Verdict.GOOD)


@dataclass(frozen=True)
class Backup:
    """A row of the backups table. `seconds` is how long it took, with its check.

    `target` is a folder of the server or `s3://bucket/prefix`, `file` the name below it.
    `detail` says what a check found, or what went wrong. `service_id` is the service's that it
    is of, whoever has its name now. A `proven` one was restored once, whatever was found later.
    """

    id: int
    plugin: str
    service: str
    version: str
    target: str
    file: str
    verdict: Verdict
    detail: str
    bytes: int
    sha256: str
    seconds: float
    started_at: float
    scheduled: bool
    service_id: int = 0
    proven: bool = False


@dataclass(frozen=True)
class Schedule:
    """When a service is backed up, by cron(5), and what is kept; 0 keeps without limit."""

    service_id: int
    cron: str
    target: str
    keep_count: int
    keep_days: int
    verify: bool
    next_at: float
