"""The commands of processes: what runs, how many, and whether at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, process_argument, words
from paas.cli.output import columns, moment
from paas.cli.platform import ProcessStatus
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.appjson import MAX_INSTANCES
from paas.model.names import parse_process_type, shown


class InvalidScale(PaasError):
    """A quantity that cannot be one."""


def ps(session: Session, app: App | None, form: str) -> None:
    """Show the instances of one app, or of all."""
    apps = session.store.apps.list() if app is None else [app]
    found = {each.name: session.platform.processes(each) for each in apps}
    if form == "json":
        entries = [_entry(name, one) for name, processes in found.items() for one in processes]
        session.output.json(entries)
        return
    for each in apps:
        _show(session, each, found[each.name])


def scale(session: Session, app: App, quantities: tuple[str, ...], form: str) -> None:
    """Show how many instances of each process type run, or change it."""
    if quantities:
        wanted = dict(_quantity(text) for text in quantities)
        text = " ".join(f"{process}={quantity}" for process, quantity in wanted.items())
        session.report.step(f"Scaling {app.name} to {text}")
        session.platform.scale(app, wanted, actor=session.actor, report=session.report)
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


def _of(process: str | None) -> str:
    return f" ({parse_process_type(process)})" if process else ""


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
        options=(format_option(),),
    ),
    Command(
        "ps:restart",
        "Restart an app, or one of its process types",
        Access.DEPLOY,
        restart,
        Names.AN_APP,
        arguments=(process_argument(),),
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
