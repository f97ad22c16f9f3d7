"""The commands of resources: what one instance of a process type may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, no_restart_option
from paas.cli.output import columns
from paas.cli.session import Session
from paas.model.app import App
from paas.model.names import parse_process_type
from paas.model.processes import LIMITS, RESERVATIONS, ProcessSetting
from paas.store.processes import EVERY_TYPE

CLEAR = "clear"
Table = Mapping[str, ProcessSetting[Any]]


def limit(  # noqa: PLR0913 (one for each option)
    session: Session,
    app: App | None,
    *,
    memory: str | None,
    cpu: str | None,
    pids: str | None,
    disk: str | None,
    process_type: str | None,
    no_restart: bool,
    form: str,
) -> None:
    """Show limits, or change them."""
    kind = _kind(process_type)
    given = {"memory": memory, "cpu": cpu, "pids": pids, "disk": disk}
    if any(given.values()):
        _apply(session, app, _parsed(kind, LIMITS, given), no_restart=no_restart)
    else:
        _show(session, app, kind, "limits", LIMITS, form)


def reserve(
    session: Session,
    app: App | None,
    *,
    memory: str | None,
    cpu: str | None,
    process_type: str | None,
    no_restart: bool,
    form: str,
) -> None:
    """Show reservations, or change them."""
    kind, given = _kind(process_type), {"memory": memory, "cpu": cpu}
    if any(given.values()):
        _apply(session, app, _parsed(kind, RESERVATIONS, given), no_restart=no_restart)
    else:
        _show(session, app, kind, "reservations", RESERVATIONS, form)


def limit_clear(
    session: Session, app: App | None, *, process_type: str | None, no_restart: bool
) -> None:
    """Remove limits, of one process type or of all."""
    _clear(session, app, LIMITS, process_type, no_restart=no_restart)


def reserve_clear(
    session: Session, app: App | None, *, process_type: str | None, no_restart: bool
) -> None:
    """Remove reservations, of one process type or of all."""
    _clear(session, app, RESERVATIONS, process_type, no_restart=no_restart)


def report(session: Session, app: App | None, form: str) -> None:
    """Show what is in effect for each process type."""
    apps = session.apps() if app is None else [app]
    found = {one.name: _effective(session, one) for one in apps}
    if form == "json":
        session.output.json(found)
        return
    for name, kinds in found.items():
        session.report.result(f"{name} resource information")
        for kind, values in kinds.items():
            session.report.step(kind)
            for line in columns([(f"{key}:", value) for key, value in values.items()]):
                session.report.detail(line)


def _parsed(
    kind: str, table: Table, given: Mapping[str, str | None]
) -> dict[tuple[str, str], str | None]:
    values: dict[tuple[str, str], str | None] = {}
    for name, text in given.items():
        if text is not None and text != CLEAR:
            table[name].parse(text)
        if text is not None:
            values[kind, table[name].name] = None if text == CLEAR else text
    return values


def _show(session: Session, app: App | None, kind: str, what: str, table: Table, form: str) -> None:
    scope = None if app is None else app.id
    texts = {name: session.store.processes.get(scope, kind, table[name].name) for name in table}
    if form == "json":
        session.output.json(texts)
        return
    whose = "every app" if app is None else app.name
    session.report.result(f"{what} of {whose}{f' ({kind})' if kind else ' (defaults)'}")
    for line in columns([(f"{name}:", text or "") for name, text in texts.items()]):
        session.report.detail(line)


def _clear(
    session: Session, app: App | None, table: Table, process: str | None, *, no_restart: bool
) -> None:
    names = {setting.name for setting in table.values()}
    those = session.store.processes.list(None if app is None else app.id)
    values: dict[tuple[str, str], str | None] = {
        key: None for key in those if key[1] in names and process in (None, key[0])
    }
    if values:
        _apply(session, app, values, no_restart=no_restart)


def _apply(
    session: Session,
    app: App | None,
    values: Mapping[tuple[str, str], str | None],
    *,
    no_restart: bool,
) -> None:
    if app is None:
        with session.store.transaction():
            for (kind, name), value in values.items():
                session.store.processes.set(None, kind, name, value)
                session.note(None, "resources set", f"{kind} {name} {value or ''}".strip())
        session.report.step("Each app takes it up with its next deploy or ps:restart")
        return
    session.report.step(f"Setting resources of {app.name}")
    session.platform.limit(
        app, values, actor=session.actor, report=session.report, restart=not no_restart
    )


def _kind(process: str | None) -> str:
    # Dokku's word for all of them.
    return parse_process_type(process) if process not in (None, "_default_") else EVERY_TYPE


def _effective(session: Session, app: App) -> dict[str, dict[str, str]]:
    value = session.store.processes.value
    formation: Mapping[str, int] = session.store.config.formation(app.id)
    if app.live is not None:
        formation = {**session.store.releases.get(app.id, app.live).formation, **formation}

    def shown(setting: ProcessSetting[Any], kind: str) -> str:
        found = value(setting, app.id, kind)
        return "" if found is None else str(found)

    return {
        kind: {
            setting.name: shown(setting, kind)
            for setting in (*LIMITS.values(), *RESERVATIONS.values())
        }
        for kind in sorted(formation)
    }


def _options(table: Table) -> tuple[click.Option, ...]:
    each = [
        click.Option([f"--{name}"], metavar="AMOUNT", help=f"{setting.help}; {CLEAR} removes it.")
        for name, setting in table.items()
    ]
    return (*each, _process_type(), no_restart_option(), format_option())


def _process_type() -> click.Option:
    return click.Option(
        ["--process-type"], metavar="PROCESS-TYPE", help="For it alone; else for all of them."
    )


COMMANDS = (
    Command(
        "resource:limit",
        "Show or set what one instance may use at most",
        Access.DEPLOY,
        limit,
        Names.APP_OR_GLOBAL,
        options=_options(LIMITS),
        description=(
            "Memory and disk are written like 512m or 2g, a bare number being megabytes;"
            " processors like 0.5 or 2. The disk is what an instance writes outside of volumes."
            " Without amounts: shows them. A change is a release of its own."
        ),
    ),
    Command(
        "resource:limit-clear",
        "Remove limits",
        Access.DEPLOY,
        limit_clear,
        Names.APP_OR_GLOBAL,
        options=(_process_type(), no_restart_option()),
    ),
    Command(
        "resource:reserve",
        "Show or set what one instance gets when it is short",
        Access.DEPLOY,
        reserve,
        Names.APP_OR_GLOBAL,
        options=_options(RESERVATIONS),
    ),
    Command(
        "resource:reserve-clear",
        "Remove reservations",
        Access.DEPLOY,
        reserve_clear,
        Names.APP_OR_GLOBAL,
        options=(_process_type(), no_restart_option()),
    ),
    Command(
        "resource:report",
        "Show the resources in effect",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
)
