"""The tables of cron: tasks of apps, since when each has had its due, and its runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row, Unique
from paas.model.app import App
from paas.model.cron import CronRun, CronTask, RunStatus


class TaskUnknown(NotFound):
    """The app has no cron task of that id."""

    def __init__(self, app: App, task: str) -> None:
        super().__init__(
            f"App {app.name} has no cron task {task}",
            resolution=f"See what there is: paas cron:list {app.name}",
        )


class TaskTaken(PaasError):
    """The app runs the same command at the same times already."""

    def __init__(self, app: App, task: CronTask) -> None:
        super().__init__(
            f"App {app.name} has this cron task already: {task.id}",
            resolution=f"To change it: paas cron:remove {app.name} {task.id}, then add it again.",
        )


class RunUnknown(NotFound):
    """The app has no run of that number, or no longer."""

    def __init__(self, app: App, number: int) -> None:
        super().__init__(
            f"App {app.name} has no cron run {number}",
            resolution=f"See what ran: paas cron:history {app.name}",
        )


@dataclass(frozen=True)
class Planned:
    """A task of an app, as it is planned. `since`: behind then nothing of it was due yet,
    None when nobody has looked at it. `declared`: by the repository, not by hand.
    """

    app_id: int
    task: CronTask
    declared: bool
    since: float | None
    suspended: bool | None

    @property
    def in_maintenance(self) -> bool:
        """By somebody's word, else as it is declared."""
        return self.task.maintenance if self.suspended is None else self.suspended


class CronTables:
    """What is to run, and what ran."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    # -- tasks -------------------------------------------------------------------------------

    def planned(self, app_id: int | None = None) -> list[Planned]:
        """The tasks of an app, or of all: those of the live release, then those by hand."""
        rows = self._db.execute(
            "SELECT apps.id AS app_id, value AS entry, 1 AS declared FROM apps"
            " JOIN releases ON releases.app_id = apps.id AND number = live,"
            " json_each(releases.cron) WHERE :app IS NULL OR apps.id = :app"
            " UNION ALL SELECT app_id, entry, 0 FROM cron_tasks"
            " WHERE :app IS NULL OR app_id = :app",
            {"app": app_id},
        )
        states = {
            (row["app_id"], row["task"]): row
            for row in self._db.execute("SELECT * FROM cron_state")
        }
        found: dict[tuple[int, str], Planned] = {}
        for row in rows:
            task = CronTask.from_json(json.loads(row["entry"]))
            key = (row["app_id"], task.id)
            state = states.get(key)
            planned = Planned(
                row["app_id"],
                task,
                bool(row["declared"]),
                state["since"] if state else None,
                None if state is None or state["suspended"] is None else bool(state["suspended"]),
            )
            # One that a later push declares too is the repository's.
            found.setdefault(key, planned)
        return list(found.values())

    def find(self, app: App, task_id: str) -> Planned:
        """Raises `TaskUnknown`."""
        for one in self.planned(app.id):
            if one.task.id == task_id:
                return one
        raise TaskUnknown(app, task_id)

    def add(self, app: App, task: CronTask, actor: str) -> None:
        """Plan a task by hand. Raises `TaskTaken`."""
        with self._db.transaction():
            if any(one.task.id == task.id for one in self.planned(app.id)):
                raise TaskTaken(app, task)
            try:
                self._db.execute(
                    "INSERT INTO cron_tasks VALUES (?, ?, ?, ?, ?)",
                    (app.id, task.id, json.dumps(task.to_json()), actor, self._now()),
                )
            except Unique:
                raise TaskTaken(app, task) from None
            self.mark(app.id, task.id, self._now())

    def remove(self, app: App, task_id: str) -> None:
        """Plan it no more. Raises `TaskUnknown`, also for one that the repository declares."""
        with self._db.transaction():
            gone = self._db.execute(
                "DELETE FROM cron_tasks WHERE app_id = ? AND task = ? RETURNING task",
                (app.id, task_id),
            )
            if not gone:
                raise TaskUnknown(app, task_id)
            self.forget(app.id, task_id)

    def copy(self, app_id: int, to: int) -> None:
        """Give the tasks that were added to an app to another one."""
        self._db.execute(
            "INSERT INTO cron_tasks SELECT ?, task, entry, actor, ? FROM cron_tasks"
            " WHERE app_id = ?",
            (to, self._now(), app_id),
        )

    def suspend(self, app_id: int, task_id: str, *, suspended: bool) -> None:
        """Keep a task from running, or let it run again; what was due meanwhile is no more."""
        self._db.execute(
            "INSERT INTO cron_state VALUES (?, ?, ?, ?) ON CONFLICT (app_id, task)"
            " DO UPDATE SET since = excluded.since, suspended = excluded.suspended",
            (app_id, task_id, self._now(), int(suspended)),
        )

    def mark(self, app_id: int, task_id: str, since: float) -> None:
        """Of what was due until `since`, all is done. Of an app that is gone nothing is kept."""
        self._db.execute(
            "INSERT INTO cron_state (app_id, task, since) SELECT id, ?, ? FROM apps WHERE id = ?"
            " ON CONFLICT (app_id, task) DO UPDATE SET since = excluded.since",
            (task_id, since, app_id),
        )

    def begin_anew(self, app_id: int | None) -> None:
        """Nothing that was due until now counts: for an app, or all, with another time zone."""
        self._db.execute(
            "UPDATE cron_state SET since = :now WHERE :app IS NULL OR app_id = :app",
            {"now": self._now(), "app": app_id},
        )

    def forget(self, app_id: int, task_id: str) -> None:
        """Drop what is known of a task that is no more, its runs excepted."""
        self._db.execute("DELETE FROM cron_state WHERE app_id = ? AND task = ?", (app_id, task_id))

    def known(self) -> set[tuple[int, str]]:
        """App and id of every task of which something is known, but for what was suspended."""
        rows = self._db.execute(
            "SELECT app_id, task FROM cron_state WHERE suspended IS NULL OR suspended = 0"
        )
        return {(row["app_id"], row["task"]) for row in rows}

    # -- runs --------------------------------------------------------------------------------

    def begin(
        self,
        app_id: int,
        task: CronTask,
        *,
        container: str,
        release: int | None,
        due: float | None,
        actor: str,
    ) -> CronRun:
        """Record a run that begins. Raises `Unique` when it has begun for that moment before."""
        now = self._now()
        number = self._db.insert(
            "INSERT INTO cron_runs (app_id, task, command, container, release, status, due,"
            " until, actor, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                app_id, task.id, task.command, container, release, RunStatus.RUNNING.value, due,
                now + task.timeout_s, actor, now,
            ),
        )  # fmt: skip
        return self._where("id = ?", number)[0]

    def note(
        self, app_id: int, task: CronTask, status: RunStatus, due: float, detail: str
    ) -> CronRun | None:
        """Record a run that was due and did not begin; None when it is recorded already."""
        try:
            with self._db.transaction():
                run = self.begin(
                    app_id, task, container="", release=None, due=due, actor="the schedule"
                )
                self.finish(run, status, None, detail)
        except Unique:
            return None
        return self._where("id = ?", run.id)[0]

    def finish(
        self, run: CronRun, status: RunStatus, exit_code: int | None, detail: str = ""
    ) -> bool:
        """Record how a run ended, unless somebody has; says whether."""
        return bool(
            self._db.execute(
                "UPDATE cron_runs SET status = ?, exit_code = ?, detail = ?, ended_at = ?"
                " WHERE id = ? AND status = 'running' RETURNING id",
                (status.value, exit_code, detail, self._now(), run.id),
            )
        )

    def stop(self, run: CronRun, ending: RunStatus) -> None:
        """Record that a run is being stopped, and what it is to be called then."""
        self._db.execute(
            "UPDATE cron_runs SET ending = ? WHERE id = ? AND status = 'running'",
            (ending.value, run.id),
        )

    def running(self, app_id: int | None = None) -> list[CronRun]:
        """The runs that go on, of an app or of all, the oldest first."""
        return self._where(
            "status = 'running' AND (:app IS NULL OR app_id = :app) ORDER BY id", app=app_id
        )

    def get(self, app: App, number: int) -> CronRun:
        """Raises `RunUnknown`."""
        for run in self._where("id = ? AND app_id = ?", number, app.id):
            return run
        raise RunUnknown(app, number)

    def by_id(self, number: int) -> CronRun | None:
        """The run of that number, whosever it is."""
        return next(iter(self._where("id = ?", number)), None)

    def history(self, app_id: int, task_id: str | None = None, count: int = -1) -> list[CronRun]:
        """The newest runs of an app, or of one of its tasks, the newest first."""
        return self._where(
            "app_id = :app AND (:task IS NULL OR task = :task) ORDER BY id DESC LIMIT :count",
            app=app_id, task=task_id, count=count,
        )  # fmt: skip

    def last(self, app_id: int, task_id: str) -> CronRun | None:
        """The newest run of a task."""
        return next(iter(self.history(app_id, task_id, 1)), None)

    def retain(self, app_id: int, count: int) -> None:
        """Forget all but the newest `count` runs of each task of an app."""
        self._db.execute(
            "DELETE FROM cron_runs WHERE app_id = :app AND status <> 'running' AND id NOT IN"
            " (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY task ORDER BY id DESC)"
            "  AS place FROM cron_runs WHERE app_id = :app) WHERE place <= :count)",
            {"app": app_id, "count": count},
        )

    def _where(self, condition: str, *values: object, **named: object) -> list[CronRun]:
        rows = self._db.execute(
            f"SELECT * FROM cron_runs WHERE {condition}",  # noqa: S608 - ours, all of them
            named or values,  # type: ignore[arg-type]
        )
        return [_run(row) for row in rows]


def _run(row: Row) -> CronRun:
    return CronRun(
        id=row["id"],
        app_id=row["app_id"],
        task=row["task"],
        command=row["command"],
        container=row["container"],
        release=row["release"],
        status=RunStatus(row["status"]),
        exit_code=row["exit_code"],
        detail=row["detail"],
        due=row["due"],
        until=row["until"],
        ending=None if row["ending"] is None else RunStatus(row["ending"]),
        actor=row["actor"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
