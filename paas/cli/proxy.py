"""The commands of the proxy: its settings, what it counted, and maintenance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.session import Session
from paas.model.app import App
from paas.model.proxysettings import BASIC_AUTH, MAINTENANCE, PROXY_SETTINGS
from paas.model.settings import Setting
from paas.model.traffic import CLASSES, Traffic, total
from paas.plugin.installed import Installed
from paas.proxy import logs
from paas.store.traffic import HOUR, KEPT_S, MINUTE

MAX_PAGE_BYTES = 1024 * 1024


def change(session: Session, app: App | None, name: str, value: str | None) -> None:
    """Set a setting of the proxy; without a value, back to its default."""
    session.platform.edge.tune(app, name, value, actor=session.actor, report=session.report)
    where = app.name if app else "the server"
    if value is None:
        session.report.step(f"Unset {name} of {where}")
    else:
        session.report.step(f"Set {name} of {where}")


def report(session: Session, app: App | None, form: str) -> None:
    """Print every setting: what is set for the app, for the server, and what counts."""
    scope = app.id if app else None
    settings = session.store.settings
    found = {
        each.name: (
            settings.get(scope, each.name) or "",
            settings.get(None, each.name) or "",
            _shown(_value(session, each, scope)),
        )
        for each in _settings(session)
        if each.app or app is None
    }
    found = {
        name: ("set", "", "set") if name == BASIC_AUTH.name and values[2] else values
        for name, values in found.items()
    }
    if form == "json":
        flat: dict[str, str] = {}
        for name, (own, server, computed) in found.items():
            flat |= {name: own, f"global-{name}": server, f"computed-{name}": computed}
        session.output.json(flat)
        return
    session.report.result(f"{app.name if app else 'global'} proxy information")
    rows = [
        (f"{name}:", computed, own and "set here") for name, (own, _, computed) in found.items()
    ]
    for line in columns(rows):
        session.output.line(f"       {line}")


def _settings(session: Session) -> list[Setting[int] | Setting[str] | Setting[bool]]:
    """The proxy's own, and those that plugins add."""
    rules = Installed(session.layout, session.store.plugins).proxy_rules()
    ours = {each.name for each in PROXY_SETTINGS}
    return [*PROXY_SETTINGS, *(rule.setting() for rule in rules if rule.name not in ours)]


def _value(
    session: Session, setting: Setting[int] | Setting[str] | Setting[bool], scope: int | None
) -> object:
    text = session.store.settings.effective(setting.name, scope if setting.app else None)
    return setting.default if text is None else setting.parse(text)


def _shown(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def metrics(session: Session, app: App | None, form: str, hours: int) -> None:
    """Print how many requests there were, how they ended and how long they took."""
    apps = [app] if app else session.apps()
    span = MINUTE if hours * 3600 <= KEPT_S[MINUTE] else HOUR
    since = time.time() - hours * 3600
    counts = {each.name: session.store.traffic.list(each.id, since, span) for each in apps}
    if form == "json":
        session.output.json(
            {
                name: {
                    **_facts(total(part for _, part in parts)),
                    "span_seconds": span,
                    "parts": [{"start": start, **_facts(part)} for start, part in parts],
                }
                for name, parts in counts.items()
            }
        )
        return
    session.report.result(f"Requests since {moment(since)}")
    heading = ("app", "requests", *CLASSES[1:], "p50", "p95", "p99", "bytes")
    rows = [
        (name, *map(str, _cells(total(part for _, part in parts))))
        for name, parts in counts.items()
    ]
    for line in columns([heading, *rows]):
        session.output.line(line)


def _cells(traffic: Traffic) -> Iterator[object]:
    yield traffic.requests
    yield from traffic.classes[1:]
    for part in (0.5, 0.95, 0.99):
        bound = traffic.percentile(part)
        yield "-" if bound is None else f"{bound} ms"
    yield traffic.bytes


def _facts(traffic: Traffic) -> dict[str, Any]:
    return {
        "requests": traffic.requests,
        "classes": dict(zip(CLASSES, traffic.classes, strict=True)),
        "bytes": traffic.bytes,
        "p50_ms": traffic.percentile(0.5),
        "p95_ms": traffic.percentile(0.95),
        "p99_ms": traffic.percentile(0.99),
    }


def access_logs(session: Session, app: App, lines: int, *, tail: bool) -> None:
    """Print the end of an app's access log, as it is written, and what comes when asked to."""
    _show(session, app, session.platform.router.access_log, lines, tail=tail)


def error_logs(session: Session, app: App, lines: int, *, tail: bool) -> None:
    """Print the end of what the proxy complained of in requests to an app."""
    _show(session, app, session.platform.router.error_log, lines, tail=tail)


def _show(
    session: Session, app: App, log: Callable[[App], Path], lines: int, *, tail: bool
) -> None:
    if tail:
        session.request.channel.end_with_client()
        for data in logs.follow(lambda: _log_now(session, app, log), lines):
            session.output.foreign(data)
    else:
        session.output.foreign(logs.last(log(app), lines))
    session.output.foreign(b"")


def _log_now(session: Session, app: App, log: Callable[[App], Path]) -> Path | None:
    """The log of an app, whatever it is called by now: who has its name may be another one."""
    now = session.store.apps.by_id(app.id)
    return None if now is None else log(now)


def maintenance_on(session: Session, app: App) -> None:
    """Show visitors a page instead of the app."""
    session.platform.edge.maintenance(app, on=True, actor=session.actor, report=session.report)
    session.report.step(f"Maintenance of {app.name} is on: visitors get a page, status 503")


def maintenance_off(session: Session, app: App) -> None:
    """Show visitors the app again."""
    session.platform.edge.maintenance(app, on=False, actor=session.actor, report=session.report)
    session.report.step(f"Maintenance of {app.name} is off")


def maintenance_page(session: Session, app: App, *, remove: bool) -> None:
    """Take the page of maintenance from standard input."""
    page = "" if remove else session.read_input(MAX_PAGE_BYTES).decode("utf-8", "replace")
    session.platform.edge.set_page(app, page, actor=session.actor, report=session.report)
    session.report.step(f"The maintenance page of {app.name} is {'ours' if not page else 'set'}")


def maintenance_report(session: Session, app: App, form: str) -> None:
    """Say whether maintenance is on."""
    on = session.store.settings.value(MAINTENANCE, app.id)
    if form == "json":
        session.output.json({"maintenance": on})
    else:
        session.output.line("on" if on else "off")


def table() -> str:
    """The settings, for the help: from the one table."""
    rows = [
        (each.name, _shown(each.default) or "-", each.help + ("" if each.app else " (--global)"))
        for each in PROXY_SETTINGS
    ]
    return "\n".join(columns(rows))


def _lines() -> tuple[click.Option, ...]:
    return (
        click.Option(
            ["-n", "--num", "lines"],
            type=click.IntRange(0, 100000),
            default=100,
            metavar="LINES",
            help="How many, 100 unless given.",
        ),
        click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes."),
    )


COMMANDS = (
    Command(
        "proxy:set",
        "Set how the proxy serves an app, or all apps",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("name", "SETTING"), one_word("value", "VALUE", required=False)),
        description=f"Without a value the default is back. Setting, default, meaning:\n\n{table()}",
    ),
    Command(
        "proxy:report",
        "Show how the proxy serves an app, or all apps",
        Access.VIEW,
        report,
        Names.APP_OR_GLOBAL,
        options=(format_option(),),
    ),
    Command(
        "proxy:metrics",
        "Count the requests of an app, or of all: status, time, bytes",
        Access.VIEW,
        metrics,
        Names.MAYBE_AN_APP,
        options=(
            format_option(),
            click.Option(
                ["--hours"],
                type=click.IntRange(1, 31 * 24),
                default=24,
                metavar="HOURS",
                help="How far back; up to 24 by the minute, else by the hour.",
            ),
        ),
    ),
    Command(
        "proxy:access-logs",
        "Show the last requests of an app",
        Access.VIEW,
        access_logs,
        Names.AN_APP,
        options=_lines(),
    ),
    Command(
        "proxy:error-logs",
        "Show what the proxy says of requests to an app that failed",
        Access.VIEW,
        error_logs,
        Names.AN_APP,
        options=_lines(),
        description="nginx's own words: which instance it did not reach, who was refused and why. "
        "What is about no app's domain or port is in its log on the server.",
    ),
    Command(
        "maintenance:on",
        "Show visitors a page instead of an app, which runs on",
        Access.DEPLOY,
        maintenance_on,
        Names.AN_APP,
    ),
    Command(
        "maintenance:off",
        "Show visitors an app again",
        Access.DEPLOY,
        maintenance_off,
        Names.AN_APP,
    ),
    Command(
        "maintenance:page",
        "Take the page they get from standard input",
        Access.DEPLOY,
        maintenance_page,
        Names.AN_APP,
        options=(click.Option(["--remove"], is_flag=True, help="Show ours again."),),
    ),
    Command(
        "maintenance:report",
        "Say whether visitors get a page",
        Access.VIEW,
        maintenance_report,
        Names.AN_APP,
        options=(format_option(),),
    ),
)
