"""The commands of cron: what apps run at set times, and how that went."""

from __future__ import annotations

from shlex import join

import click

from paas.cli import cron_views as views
from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word, words
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.reports import report_options
from paas.cli.session import Session
from paas.engine.logs import Line
from paas.model.app import App
from paas.model.cron import CRON_SETTINGS, RunStatus, parse_task
from paas.model.duration import parse_duration
from paas.model.names import shown
from paas.model.processes import UnknownProperty

DEFAULT_RUNS = 20
FIELDS = 5
UNKNOWN_END = 1
"""The exit code for a run of which nobody saw one."""


def add(
    session: Session,
    app: App,
    schedule: str,
    argv: tuple[str, ...],
    timezone: str | None,
    timeout: str | None,
    concurrency: str | None,
    missed: str | None,
) -> None:
    """Run a command at set times, from now on."""
    schedule, argv = _as_one_word(schedule, argv)
    command = argv[1:] if argv[:1] == (END_OF_OPTIONS,) else argv
    if not command:
        raise Misused("Please specify a command to run")
    fields = {
        "schedule": schedule,
        # One word is what a shell is to run, several are its words.
        "command": command[0] if len(command) == 1 else join(command),
        "timezone": timezone,
        "timeout": timeout,
        "concurrency_policy": concurrency,
        "missed": missed,
    }
    task = parse_task(fields, "The task")
    session.platform.cron.add(app, task, actor=session.actor)
    session.platform.wake()
    session.report.step(f"Adding cron task {task.id} to {app.name}")
    session.output.line(task.id)


def _as_one_word(schedule: str, argv: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The schedule whole again: ssh(1) hands five words over where five fields were quoted."""
    if schedule.startswith("@") or " " in schedule or len(argv) < FIELDS:
        return schedule, argv
    return " ".join((schedule, *argv[: FIELDS - 1])), argv[FIELDS - 1 :]


def remove(session: Session, app: App, task: str) -> None:
    """Run it no more; what runs of it goes on."""
    session.platform.cron.remove(app, task, actor=session.actor)
    session.report.step(f"Removing cron task {task} of {app.name}")


def suspend(session: Session, app: App, task: str) -> None:
    """Keep a task from running by itself."""
    session.platform.cron.suspend(app, task, suspended=True, actor=session.actor)
    session.report.step(f"Suspending cron task {task} of {app.name}")


def resume(session: Session, app: App, task: str) -> None:
    """Let a task run by itself again."""
    session.platform.cron.suspend(app, task, suspended=False, actor=session.actor)
    session.platform.wake()
    session.report.step(f"Resuming cron task {task} of {app.name}")


def run(session: Session, app: App, task: str, ttl: str | None, *, detach: bool) -> int:
    """Begin a run now, and wait for it; its exit code is ours."""
    planned = session.store.cron.find(app, task)
    limit = parse_duration(ttl) if ttl else None
    runs = session.platform.cron_runs
    begun = runs.begin(app, planned.task, actor=session.actor, timeout_s=limit)
    session.store.events.add(session.actor, app.name, "cron run", f"{task}, {begun.name}")
    if detach:
        session.output.line(begun.name)
        return 0
    ended = runs.follow(begun, lambda line: _say(session, line))
    session.output.foreign(b"")
    if ended.status is not RunStatus.SUCCEEDED:
        session.report.warn(f"Run {ended.id} of {app.name}: {views.outcome(ended)}")
    return ended.exit_code if ended.exit_code is not None else UNKNOWN_END


def stop(session: Session, app: App, number: str) -> None:
    """End a run."""
    found = session.store.cron.get(app, _number(number))
    session.platform.cron_runs.stop(app, found, actor=session.actor)
    session.report.step(f"Stopped run {found.id} of {app.name}")


def logs(session: Session, app: App, number: str, *, tail: bool) -> None:
    """Show what a run wrote, and what it goes on to write."""
    found = session.store.cron.get(app, _number(number))
    if tail:
        session.request.channel.end_with_client()
    runs = session.platform.cron_runs
    if tail and found.status is RunStatus.RUNNING:
        runs.follow(found, lambda line: _say(session, line))
    else:
        for line in runs.lines(found):
            _say(session, line)
    session.output.foreign(b"")


def change(session: Session, app: App | None, key: str, value: str | None) -> None:
    """Set a property; without a value it is as at first."""
    setting = CRON_SETTINGS.get(key)
    if setting is None:
        raise UnknownProperty(key, list(CRON_SETTINGS))
    if value is not None:
        setting.parse(value)
    scope = None if app is None else app.id
    with session.store.transaction():
        session.keep(app, setting.name, value, "cron:set", key)
        # Other moments count from now on: none of them was missed.
        session.store.cron.begin_anew(scope)
    session.platform.wake()
    done = f"Setting {key} to {value}" if value is not None else f"Unsetting {key}"
    session.report.step(f"{done} for {'every app' if app is None else app.name}")


def _say(session: Session, line: Line) -> None:
    session.output.foreign(f"{line.text}\n".encode())


def _number(text: str) -> int:
    """17 of `17` or `cron.17`."""
    digits = text.removeprefix("cron.")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise Misused(f"{shown(text)} is not the number of a run")
    return int(digits)


def _task() -> click.Argument:
    return one_word("task", "CRON-ID")


def _run_argument() -> click.Argument:
    return one_word("number", "RUN")


def _tail() -> click.Option:
    return click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes.")


COMMANDS = (
    Command(
        "cron:list",
        "Show the cron tasks of an app",
        Access.VIEW,
        views.listing,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "cron:add",
        "Run a command of an app at set times",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(one_word("schedule", "SCHEDULE"), words("argv", "COMMAND")),
        options=(
            click.Option(
                ["--timezone"], metavar="ZONE", help="Such as Europe/Berlin; else that of the app."
            ),
            click.Option(["--timeout"], metavar="TIME", help="End it after so long: 24h."),
            click.Option(
                ["--concurrency-policy", "concurrency"],
                metavar="POLICY",
                help="allow, forbid or replace an earlier run that goes on: allow.",
            ),
            click.Option(
                ["--missed"],
                metavar="POLICY",
                help="skip, or once: make up for one of those that a downtime kept from running.",
            ),
        ),
        passes_through=True,
        description="The schedule is one word of five fields as in crontab(5), or @daily. Each run "
        "has a container of its own, with the app's image and config. Options come before the "
        "app. What app.json declares in `cron` is added by each push.",
    ),
    Command(
        "cron:remove",
        "Remove a cron task that was added",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(_task(),),
    ),
    Command(
        "cron:run",
        "Run a cron task now",
        Access.DEPLOY,
        run,
        Names.AN_APP,
        arguments=(_task(),),
        options=(
            click.Option(["--detach"], is_flag=True, help="Print its name, and do not wait."),
            click.Option(
                ["--ttl", "--ttl-seconds", "ttl"], metavar="TIME", help="End it after so long."
            ),
        ),
        description="Also in maintenance. It shows what the run writes and ends with its exit "
        "code; when the connection is lost the run goes on.",
    ),
    Command(
        "cron:stop",
        "Stop a run of a cron task",
        Access.DEPLOY,
        stop,
        Names.AN_APP,
        arguments=(_run_argument(),),
    ),
    Command(
        "cron:suspend",
        "Keep a cron task from running by itself",
        Access.DEPLOY,
        suspend,
        Names.AN_APP,
        arguments=(_task(),),
    ),
    Command(
        "cron:resume",
        "Let a cron task run by itself again",
        Access.DEPLOY,
        resume,
        Names.AN_APP,
        arguments=(_task(),),
    ),
    Command(
        "cron:history",
        "Show the runs of an app's cron tasks, the newest first",
        Access.VIEW,
        views.history,
        Names.AN_APP,
        arguments=(one_word("task", "CRON-ID", required=False),),
        options=(
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(1, 1_000_000),
                default=DEFAULT_RUNS,
                metavar="COUNT",
                help=f"How many, {DEFAULT_RUNS} unless given.",
            ),
            format_option(),
        ),
    ),
    Command(
        "cron:logs",
        "Show what a run of a cron task wrote",
        Access.VIEW,
        logs,
        Names.AN_APP,
        arguments=(_run_argument(),),
        options=(_tail(),),
        description="All runs together: logs -p cron.",
    ),
    Command(
        "cron:set",
        "Set the time zone of schedules, maintenance, and how many runs are kept",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        description="; ".join(f"{key}: {each.help}" for key, each in CRON_SETTINGS.items()) + ".",
    ),
    Command(
        "cron:report",
        "Show how cron tasks are run",
        Access.VIEW,
        views.report,
        Names.MAYBE_AN_APP,
        options=report_options("cron", views.FIELDS),
    ),
)
