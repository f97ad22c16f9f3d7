"""Whether services are backed up as they are meant to be, by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from paas.daemon.checks.check import Unwell
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.service import Service

LATE_SECONDS = 3600.0
"""A backup is made when its time has come, and takes a while."""


def scheduled(known: Iterable[tuple[Service, Schedule, Sequence[Backup]]], now: float) -> str:
    """Whether the last backup of each schedule is good and none is overdue.

    The backups of each are its scheduled ones, the newest first.
    """
    services, wrong = 0, []
    for service, schedule, made in known:
        services += 1
        name = f"{service.plugin} {service.name}"
        ended = [one for one in made if one.verdict is not Verdict.RUNNING]
        if schedule.next_at + LATE_SECONDS < now:
            wrong.append(f"{name}: none since {_moment(schedule.next_at)}, when one was due")
        elif ended and ended[0].verdict is Verdict.BAD:
            wrong.append(f"{name}: {_moment(ended[0].started_at)} failed: {ended[0].detail}")
        elif ended and schedule.verify and _lacks_check(ended[0]):
            wrong.append(f"{name}: {_moment(ended[0].started_at)}: {ended[0].detail}")
    if wrong:
        raise Unwell(
            "; ".join(wrong), "DATASTORE:backup:list SERVICE tells more; DATASTORE:backup tries it."
        )
    return f"of {services} services by schedule" if services else "none by schedule"


def _lacks_check(backup: Backup) -> bool:
    """Whether it was to be checked, and `detail` says why it was not."""
    return backup.verdict is Verdict.UNCHECKED and bool(backup.detail)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
