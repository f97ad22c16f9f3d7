"""Cron: which tasks are due, and what is done about those that were missed.

Nothing is remembered but, of each task, since when nothing of it was due: what is due now
follows from that and the clock. So a restart loses nothing, and a moment is dealt with once,
however the clock is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.errors import PaasError
from paas.host.clock import Clock
from paas.model.app import App
from paas.model.cron import (
    LATE_SECONDS,
    MAINTENANCE,
    STEP_BACK_SECONDS,
    TIMEZONE,
    CronTask,
    Missed,
    RunStatus,
)
from paas.model.schedule import MANY, InvalidCron, InvalidZone, due_between, next_after
from paas.store.cron import Planned
from paas.store.store import Store


class TaskDeclared(PaasError):
    """The task stands in the repository."""

    def __init__(self, app: App, task: CronTask) -> None:
        super().__init__(
            f"Cron task {task.id} is declared in the app.json of {app.name}",
            resolution="Take it out there and push, or keep it from running:"
            f" paas cron:suspend {app.name} {task.id}",
        )


@dataclass(frozen=True)
class Due:
    """A run that should begin: of which task, for which moment, and how many before it were
    passed over.
    """

    planned: Planned
    moment: float
    passed: int


@dataclass(frozen=True)
class Outlook:
    """What is due now, and when something is due next. Seconds since the epoch."""

    due: Sequence[Due]
    next_at: float | None


@dataclass(frozen=True)
class Status:
    """A task as people see it. `next_at` is None while it does not run; `fault` says why."""

    planned: Planned
    zone: str
    next_at: float | None
    fault: str


@dataclass(frozen=True)
class Cron:
    """The tasks of apps: planned, kept from running, and due."""

    store: Store
    clock: Clock

    def tasks(self, app: App) -> list[Status]:
        """All tasks of an app, and when each runs next."""
        return [self._status(app, planned) for planned in self.store.cron.planned(app.id)]

    def _status(self, app: App, planned: Planned) -> Status:
        zone = self.zone(planned)
        fault = self.fault(app, planned)
        next_at = None
        if not fault:
            try:
                next_at = next_after(planned.task.schedule, self._since(planned), zone)
            except (InvalidCron, InvalidZone) as error:
                fault = error.brief
        return Status(planned, zone, next_at, fault)

    def zone(self, planned: Planned) -> str:
        """The time zone of its schedule: its own, else that of the app, else the server's."""
        return planned.task.timezone or self.store.settings.value(TIMEZONE, planned.app_id)

    def fault(self, app: App, planned: Planned) -> str:
        """What keeps it from running by itself, if anything does."""
        if not app.deployed:
            return "not deployed"
        if app.stopped:
            return "stopped"
        if planned.in_maintenance or self.store.settings.value(MAINTENANCE, app.id):
            return "maintenance"
        return ""

    def add(self, app: App, task: CronTask, *, actor: str) -> None:
        """Run a command at set times, from now on. Raises `TaskTaken`."""
        with self.store.transaction():
            self.store.cron.add(app, task, actor)
            self.store.events.add(actor, app.name, "cron added", _described(task))

    def remove(self, app: App, task_id: str, *, actor: str) -> None:
        """Run it no more; what runs of it goes on. Raises `TaskUnknown`, `TaskDeclared`."""
        with self.store.transaction():
            planned = self.store.cron.find(app, task_id)
            if planned.declared:
                raise TaskDeclared(app, planned.task)
            self.store.cron.remove(app, task_id)
            self.store.events.add(actor, app.name, "cron removed", _described(planned.task))

    def suspend(self, app: App, task_id: str, *, suspended: bool, actor: str) -> None:
        """Keep a task from running, or let it run again. Raises `TaskUnknown`."""
        with self.store.transaction():
            planned = self.store.cron.find(app, task_id)
            self.store.cron.suspend(app.id, task_id, suspended=suspended)
            what = "cron suspended" if suspended else "cron resumed"
            self.store.events.add(actor, app.name, what, _described(planned.task))

    def outlook(self) -> Outlook:
        """What is due now, and the next time that something is."""
        now = self.clock.now()
        due: list[Due] = []
        next_at: list[float] = []
        apps = {app.id: app for app in self.store.apps.list()}
        for planned in self.store.cron.planned():
            app = apps.get(planned.app_id)
            if app is None:
                continue
            since, schedule, zone = (
                self._settled(planned),
                planned.task.schedule,
                self.zone(planned),
            )
            try:
                # Asked with the same words at each look, so that it is worked out once.
                following = next_after(schedule, since, zone)
                found = due_between(schedule, since, now, zone) if following <= now else None
            except (InvalidCron, InvalidZone):
                # A zone that this server does not know: cron:list says so.
                continue
            if found is None:
                next_at.append(following)
            elif self.fault(app, planned):
                # What was due while it may not run was not missed.
                self.store.cron.mark(app.id, planned.task.id, now)
            else:
                due.append(Due(planned, *found))
        return Outlook(due, min(next_at, default=None))

    def is_due(self, due: Due) -> bool:
        """Whether nobody has dealt with it meanwhile, and the task is still there."""
        current = next(
            (
                one
                for one in self.store.cron.planned(due.planned.app_id)
                if one.task == due.planned.task
            ),
            None,
        )
        return current is not None and (current.since or 0.0) < due.moment

    def deal_with(self, due: Due) -> bool:
        """Record that its moment has come, and what was missed; says whether it is to run.

        Within a transaction, so that the run that is begun then is begun for it alone.
        """
        task, app_id = due.planned.task, due.planned.app_id
        self.store.cron.mark(app_id, task.id, due.moment)
        is_late = self.clock.now() - due.moment > LATE_SECONDS
        makes_up = is_late and task.missed is Missed.ONCE
        missed = due.passed + (is_late and not makes_up)
        if missed and not makes_up:
            self._miss(due, missed, is_late=is_late)
        return makes_up or not is_late

    def _miss(self, due: Due, missed: int, *, is_late: bool) -> None:
        # Not for the moment that is run for now.
        moment = due.moment if is_late else due.moment - 1
        many = f"more than {MANY}" if missed > MANY else str(missed)
        detail = f"{many} run{'' if missed == 1 else 's'} missed while the server was down"
        run = self.store.cron.note(
            due.planned.app_id, due.planned.task, RunStatus.MISSED, moment, detail
        )
        app = self.store.apps.by_id(due.planned.app_id)
        if run is not None and app is not None:
            self.store.events.add(
                "supervisor", app.name, "cron missed", f"{due.planned.task.id}: {detail}"
            )

    def tidy(self) -> None:
        """Forget what is known of tasks that are planned no more."""
        planned = {(one.app_id, one.task.id) for one in self.store.cron.planned()}
        for key in self.store.cron.known() - planned:
            self.store.cron.forget(*key)

    def _settled(self, planned: Planned) -> float:
        """Since when nothing of it was due; what is seen first, or was known by a clock that
        has been far ahead, begins now.
        """
        since = self._since(planned)
        if since != planned.since:
            self.store.cron.mark(planned.app_id, planned.task.id, since)
        return since

    def _since(self, planned: Planned) -> float:
        now = self.clock.now()
        if planned.since is None or planned.since > now + STEP_BACK_SECONDS:
            return now
        return planned.since


def _described(task: CronTask) -> str:
    return f"{task.id}: {task.schedule} {task.command}"
