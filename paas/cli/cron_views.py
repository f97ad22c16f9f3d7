"""What is shown of cron: tasks, runs, and how they are set."""

from __future__ import annotations

from paas.cli.output import columns, moment
from paas.cli.reports import show_report
from paas.cli.session import Session
from paas.deploy.cron import Status
from paas.model.app import App
from paas.model.cron import MAINTENANCE, RETAIN_RUNS, TIMEZONE, CronRun

FIELDS = ("task-count", "timezone", "maintenance", "retain-runs", "running", "last-failed")


def listing(session: Session, app: App, form: str) -> None:
    """Show the tasks of an app, when they run next and how they went."""
    tasks = session.platform.cron.tasks(app)
    last = {each.planned.task.id: _last(session, app, each) for each in tasks}
    if form == "json":
        session.output.json([_entry(each, last[each.planned.task.id]) for each in tasks])
        return
    session.report.result(f"{app.name} cron tasks")
    rows = [
        (
            each.planned.task.id,
            each.planned.task.schedule,
            "true" if each.fault == "maintenance" else "false",
            moment(each.next_at) if each.next_at is not None else each.fault,
            outcome(run) if (run := last[each.planned.task.id]) else "-",
            each.planned.task.command,
        )
        for each in tasks
    ]
    for line in columns([("ID", "SCHEDULE", "MAINTENANCE", "NEXT", "LAST", "COMMAND"), *rows]):
        session.output.line(line)


def history(session: Session, app: App, task: str | None, num: int, form: str) -> None:
    """Show the runs of an app, or of one of its tasks, the newest first."""
    runs = session.store.cron.history(app.id, task, num)
    if form == "json":
        session.output.json([_run_entry(run) for run in runs])
        return
    session.report.result(f"{app.name} cron runs")
    rows = [
        (
            str(run.id),
            run.task,
            moment(run.started_at),
            "-" if run.seconds is None or not run.container else f"{run.seconds:.1f} s",
            run.actor,
            outcome(run),
            run.command,
        )
        for run in runs
    ]
    for line in columns([("RUN", "ID", "STARTED", "TOOK", "BY", "STATUS", "COMMAND"), *rows]):
        session.output.line(line)


def report(session: Session, app: App | None, form: str, only: str | None) -> None:
    """Show how cron is set for one app, or for all."""
    apps = session.apps() if app is None else [app]
    show_report(session, "cron", {one.name: _fields(session, one) for one in apps}, form, only)


def outcome(run: CronRun) -> str:
    """How a run ended, for people: `failed (exit code 3)`."""
    words = [f"exit code {run.exit_code}"] if run.exit_code else []
    words += [run.detail] if run.detail else []
    return run.status.value + (f" ({'; '.join(words)})" if words else "")


def _last(session: Session, app: App, task: Status) -> CronRun | None:
    return session.store.cron.last(app.id, task.planned.task.id)


def _fields(session: Session, app: App) -> dict[str, str]:
    value, cron = session.store.settings.value, session.store.cron
    failed = [run for run in cron.history(app.id) if run.status.is_trouble]
    values = (
        str(len(cron.planned(app.id))),
        value(TIMEZONE, app.id),
        "true" if value(MAINTENANCE, app.id) else "false",
        str(value(RETAIN_RUNS, app.id)),
        str(len(cron.running(app.id))),
        f"run {failed[0].id}, {moment(failed[0].started_at)}" if failed else "",
    )
    return dict(zip(FIELDS, values, strict=True))


def _entry(status: Status, last: CronRun | None) -> dict[str, object]:
    task = status.planned.task
    return {
        "id": task.id,
        "schedule": task.schedule,
        "command": task.command,
        "timezone": status.zone,
        "concurrency_policy": task.concurrency.value,
        "missed": task.missed.value,
        "timeout": task.timeout_s,
        "maintenance": status.fault == "maintenance",
        "source": "app.json" if status.planned.declared else "cron:add",
        "next": None if status.next_at is None else moment(status.next_at),
        "fault": status.fault or None,
        "last": None if last is None else _run_entry(last),
    }


def _run_entry(run: CronRun) -> dict[str, object]:
    return {
        "run": run.id,
        "id": run.task,
        "command": run.command,
        "status": run.status.value,
        "exit_code": run.exit_code,
        "detail": run.detail or None,
        "due": None if run.due is None else moment(run.due),
        "started": moment(run.started_at),
        "seconds": None if run.seconds is None else round(run.seconds, 3),
        "actor": run.actor,
        "release": None if run.release is None else f"v{run.release}",
        "log": run.name if run.container else None,
    }
