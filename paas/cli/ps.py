"""The commands of processes: what runs, how many, and whether at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word, process_argument, words
from paas.cli.output import columns, moment
from paas.cli.platform import ProcessStatus
from paas.cli.reports import report_options, show_report
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.appjson import MAX_INSTANCES
from paas.model.names import InvalidName, parse_process_type, shown
from paas.model.processes import (
    PS_SETTINGS,
    RESTART_POLICY,
    STOP_TIMEOUT,
    UPDATE_ORDER,
    UnknownProperty,
)
from paas.store.processes import EVERY_TYPE

FIELDS = (
    "deployed",
    "running",
    "processes",
    "release",
    "stopped",
    "restart-policy",
    "stop-timeout-seconds",
    "update-order",
)


class InvalidScale(PaasError):
    """A quantity that cannot be one."""


def ps(session: Session, app: App | None, form: str) -> None:
    """Show the instances of one app, or of all."""
    apps = session.apps() if app is None else [app]
    found = {each.name: session.platform.processes(each) for each in apps}
    if form == "json":
        entries = [_entry(name, one) for name, processes in found.items() for one in processes]
        session.output.json(entries)
        return
    for each in apps:
        _show(session, each, found[each.name])


def scale(
    session: Session, app: App, quantities: tuple[str, ...], form: str, *, skip_deploy: bool
) -> None:
    """Show how many instances of each process type run, or change it."""
    if quantities:
        wanted = dict(_quantity(text) for text in quantities)
        text = " ".join(f"{process}={quantity}" for process, quantity in wanted.items())
        session.report.step(f"Scaling {app.name} to {text}")
        session.platform.scale(
            app, wanted, actor=session.actor, report=session.report, restart=not skip_deploy
        )
        return
    formation = _formation(session, app)
    if form == "json":
        session.output.json(formation)
        return
    session.report.step(f"Scaling for {app.name}")
    rows = [(f"{process}:", str(quantity)) for process, quantity in formation.items()]
    for line in columns([("proctype:", "qty"), ("--------:", "---"), *rows]):
        session.output.line(line)


def restart(session: Session, app: App, process: str | None) -> None:
    """Replace the instances of one process type, or of all."""
    session.report.step(f"Restarting app {app.name}{_of(process)}")
    session.platform.restart(app, process, actor=session.actor, report=session.report)


def stop(session: Session, app: App, process: str | None) -> None:
    """Stop the instances of one process type, or of all, until they are started."""
    session.report.step(f"Stopping {app.name}{_of(process)}")
    session.platform.stop(app, process, actor=session.actor, report=session.report)


def start(session: Session, app: App, process: str | None) -> None:
    """Start what was stopped."""
    session.report.step(f"Starting {app.name}{_of(process)}")
    session.platform.start(app, process, actor=session.actor, report=session.report)


def inspect(session: Session, app: App) -> None:
    """Print what the engine knows of each container, without its environment."""
    session.output.json(session.platform.inspect(app))


def change(
    session: Session, app: App | None, key: str, value: str | None, process_type: str | None
) -> None:
    """Set a property of process types; without a value it is as at first."""
    setting = next((each for each in PS_SETTINGS if each.name == key), None)
    if setting is None:
        raise UnknownProperty(key, [each.name for each in PS_SETTINGS])
    if value is not None:
        setting.parse(value)
    kind = EVERY_TYPE if process_type is None else parse_process_type(process_type)
    with session.store.transaction():
        session.store.processes.set(None if app is None else app.id, kind, key, value)
        session.note(app, "ps:set", f"{kind} {key} {value or ''}".strip())
    whose = f"{'every app' if app is None else app.name}{_of(process_type)}"
    done = f"Setting {key} to {value}" if value is not None else f"Unsetting {key}"
    session.report.step(f"{done} for {whose}")


def report(session: Session, app: App | None, form: str, only: str | None) -> None:
    """Show how the processes of one app are run, or of all."""
    apps = session.apps() if app is None else [app]
    show_report(session, "ps", {one.name: _fields(session, one) for one in apps}, form, only)


def _fields(session: Session, app: App) -> dict[str, str]:
    processes = session.platform.processes(app)
    up = sum(one.state == "up" for one in processes)
    texts = session.store.processes.list(app.id)
    shared = session.store.processes.list(None)

    def those(name: str, default: object) -> str:
        """What is set for all types and, behind it, for single ones."""
        every = texts.get(("", name)) or shared.get(("", name)) or str(default)
        own = [f"{kind}={text}" for (kind, each), text in texts.items() if each == name and kind]
        return " ".join([every, *own])

    return {
        "deployed": str(app.deployed).lower(),
        "running": "true" if up and up == len(processes) else "mixed" if up else "false",
        "processes": str(len(processes)),
        "release": f"v{app.live}" if app.live is not None else "",
        "stopped": str(app.stopped).lower(),
        "restart-policy": those(RESTART_POLICY.name, "always"),
        "stop-timeout-seconds": those(STOP_TIMEOUT.name, STOP_TIMEOUT.default),
        "update-order": those(UPDATE_ORDER.name, UPDATE_ORDER.default.value),
        **{
            f"status-{one.process_type}-{one.index}": f"{one.state} (v{one.release})"
            for one in processes
        },
    }


def _of(process: str | None) -> str:
    return f" ({instance_name(process)})" if process else ""


def instance_name(process: str) -> str:
    """A process type, or an instance such as `web.1`. Raises `InvalidName`."""
    kind, dot, number = process.partition(".")
    if dot and not re.fullmatch(r"[1-9][0-9]{0,3}", number):
        raise InvalidName(
            f"{shown(process)} is neither a process type nor an instance",
            resolution="Write it like web, or like web.1.",
        )
    return f"{parse_process_type(kind)}{dot}{number}"


def _quantity(text: str) -> tuple[str, int]:
    process, equals, quantity = text.partition("=")
    if not equals or not re.fullmatch(r"[0-9]{1,4}", quantity) or int(quantity) > MAX_INSTANCES:
        raise InvalidScale(
            f"{shown(text)} is not of the form PROCESS-TYPE=QUANTITY",
            resolution=f"Write it like web=2; a quantity is from 0 to {MAX_INSTANCES}.",
        )
    return parse_process_type(process), int(quantity)


def _formation(session: Session, app: App) -> dict[str, int]:
    """What the live release runs, and above it what was asked for since."""
    asked = session.store.config.formation(app.id)
    if app.live is None:
        return asked
    return {**session.store.releases.get(app.id, app.live).formation, **asked}


def _entry(app: str, one: ProcessStatus) -> dict[str, object]:
    return {
        "app": app,
        "process": f"{one.process_type}.{one.index}",
        "state": one.state,
        "release": f"v{one.release}",
        "since": moment(one.since),
        "restarts": one.restarts,
        "address": one.address,
        "container": one.container,
    }


def _show(session: Session, app: App, processes: Sequence[ProcessStatus]) -> None:
    session.report.result(f"{app.name} processes")
    if not processes:
        session.output.line("Stopped" if app.stopped else "Nothing is running")
        return
    rows = [
        (
            f"{one.process_type}.{one.index}:",
            one.state,
            f"v{one.release}",
            f"since {moment(one.since)}",
            one.address,
            f"{one.restarts} restarts" if one.restarts != 1 else "1 restart",
        )
        for one in processes
    ]
    for line in columns(rows):
        session.output.line(line)


COMMANDS = (
    Command(
        "ps",
        "Show the instances of an app, or of all",
        Access.VIEW,
        ps,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
    Command(
        "ps:scale",
        "Show or set how many instances of a process type run",
        Access.DEPLOY,
        scale,
        Names.AN_APP,
        arguments=(words("quantities", "PROCESS-TYPE=QUANTITY", required=False),),
        options=(
            format_option(),
            click.Option(["--skip-deploy"], is_flag=True, help="Wait for the next deploy."),
        ),
    ),
    Command(
        "ps:restart",
        "Restart an app, one of its process types, or one instance",
        Access.DEPLOY,
        restart,
        Names.AN_APP,
        arguments=(one_word("process", "PROCESS-TYPE[.NUMBER]", required=False),),
        description="New instances are started and checked first: no request is lost.",
    ),
    Command(
        "ps:inspect",
        "Show the containers of an app, without their environment",
        Access.VIEW,
        inspect,
        Names.AN_APP,
    ),
    Command(
        "ps:set",
        "Set how processes stop, restart and are replaced",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        options=(
            click.Option(
                ["--process-type"], metavar="PROCESS-TYPE", help="For it alone; else for all."
            ),
        ),
        description="; ".join(f"{each.name}: {each.help}" for each in PS_SETTINGS) + ".",
    ),
    Command(
        "ps:report",
        "Show how processes are run",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=report_options("ps", FIELDS),
    ),
    Command(
        "ps:stop",
        "Stop an app until it is started",
        Access.DEPLOY,
        stop,
        Names.AN_APP,
        arguments=(process_argument(),),
    ),
    Command(
        "ps:start",
        "Start an app that was stopped",
        Access.DEPLOY,
        start,
        Names.AN_APP,
        arguments=(process_argument(),),
    ),
)
