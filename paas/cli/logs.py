"""The commands that show what apps print, and say how much of it is kept."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word
from paas.cli.parsing import Misused
from paas.cli.ps import instance_name
from paas.cli.releases import parse_version
from paas.cli.session import Session
from paas.deploy.applogs import Wanted
from paas.model.app import App
from paas.model.duration import InvalidDuration, parse_duration
from paas.model.logsettings import LOG_SETTINGS
from paas.model.names import shown
from paas.model.processes import UnknownProperty

DEFAULT_LINES = 100


def logs(  # noqa: PLR0913 (one for each option)
    session: Session,
    app: App,
    num: int,
    process: str | None,
    since: str | None,
    release: str | None,
    grep: str | None,
    *,
    tail: bool,
    as_json: bool,
) -> None:
    """Show the last lines of an app's output, and follow it when asked to."""
    wanted = Wanted(
        num,
        follow=tail,
        process=instance_name(process) if process else None,
        since=parse_since(since, time.time()) if since else None,
        release=parse_version(release) if release else None,
        matches=_pattern(grep).search if grep else None,
        json=as_json,
    )
    if tail:
        session.request.channel.end_with_client()
    session.platform.logs(app, wanted, session.output.foreign)
    session.output.foreign(b"")


def change(session: Session, app: App | None, key: str, value: str | None) -> None:
    """Set how much is kept; without a value it is as at first."""
    setting = next((each for each in LOG_SETTINGS if each.name == key), None)
    if setting is None:
        raise UnknownProperty(key, [each.name for each in LOG_SETTINGS])
    if value is not None:
        setting.parse(value)
    session.keep(app, key, value, "logs:set", key)
    done = f"Setting {key} to {value}" if value is not None else f"Unsetting {key}"
    session.report.step(f"{done} for {'every app' if app is None else app.name}")


def parse_since(text: str, now: float) -> float:
    """Epoch seconds: of `15m` ago, or of a moment such as `2026-08-01T12:00:00Z`."""
    try:
        return now - parse_duration(text)
    except InvalidDuration:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Misused(f"{shown(text)} is neither a time ago (15m, 2h) nor an ISO date") from None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise Misused(f"{shown(text)} is no regular expression: {error}") from None


COMMANDS = (
    Command(
        "logs",
        "Show the output of an app",
        Access.VIEW,
        logs,
        Names.AN_APP,
        options=(
            click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes."),
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(0, 1_000_000),
                default=DEFAULT_LINES,
                metavar="LINES",
                help=f"How many lines, {DEFAULT_LINES} unless given.",
            ),
            click.Option(
                ["-p", "--ps", "process"],
                metavar="PROCESS-TYPE[.NUMBER]",
                help="Of one process type or instance.",
            ),
            click.Option(
                ["--since"], metavar="TIME", help="From then on: 15m, 2h, 2026-08-01T12:00:00Z."
            ),
            click.Option(["--release"], metavar="VERSION", help="Of one release, such as v12."),
            click.Option(["--grep"], metavar="REGEXP", help="Lines that match."),
            click.Option(["--json", "as_json"], is_flag=True, help="One object for each line."),
        ),
        description="To a terminal, control characters of the app are left out; colours are not.",
    ),
    Command(
        "logs:set",
        "Set how much of the output of ended instances is kept",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        description="; ".join(f"{each.name}: {each.help}" for each in LOG_SETTINGS) + ".",
    ),
)
