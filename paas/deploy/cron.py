"""The door to cron expressions: when something is due next."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from paas.errors import PaasError
from paas.model.names import shown


class InvalidCron(PaasError):
    """No cron(5) expression."""


def next_after(expression: str, moment: float) -> float:
    """The first time behind `moment` that a crontab(5) expression names, in UTC.

    Both are in seconds since the epoch. Raises `InvalidCron`, also for a day that never comes.
    """
    try:
        return next(CronSim(expression, datetime.fromtimestamp(moment, UTC))).timestamp()
    except (CronSimError, StopIteration):
        raise InvalidCron(
            f"{shown(expression)} is not a cron expression",
            resolution='Write five fields, like "30 3 * * *" for 3:30 each night, UTC.',
        ) from None
