"""The command that shows what apps print."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.session import Session
from paas.model.app import App
from paas.model.names import parse_process_type

DEFAULT_LINES = 100


def logs(session: Session, app: App, num: int, process: str | None, *, tail: bool) -> None:
    """Show the last lines of an app's output, and follow it when asked to."""
    if tail:
        session.request.channel.end_with_client()
    session.platform.logs(
        app,
        lines=num,
        follow=tail,
        process=parse_process_type(process) if process else None,
        out=session.output.data,
    )


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
                ["-p", "--ps", "process"], metavar="PROCESS-TYPE", help="Of one process type."
            ),
        ),
    ),
)
