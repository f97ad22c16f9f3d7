"""The command that runs one command of an app, in a container of its own."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import words
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.session import Session
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.env import parse_value
from paas.model.names import parse_config_key, shown


def run(
    session: Session, app: App, argv: tuple[str, ...], env: tuple[str, ...], *, no_tty: bool
) -> int:
    """Run a command with the app's image and config; its exit code is ours."""
    command = argv[1:] if argv[0] == END_OF_OPTIONS else argv
    if not command:
        raise Misused("Please specify a command to run")
    session.request.channel.end_with_client()
    return session.platform.run(
        app,
        command,
        env=dict(_variable(pair) for pair in env),
        terminal=session.terminal(Plain if no_tty else Terminal),
    )


class Plain(Terminal):
    """A terminal that is used as if it were pipes."""

    @property
    def isatty(self) -> bool:
        """Never."""
        return False


def _variable(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise Misused(f"{shown(pair)} is not of the form KEY=VALUE")
    return parse_config_key(key), parse_value(key, value)


COMMANDS = (
    Command(
        "run",
        "Run a command in a new container of an app",
        Access.DEPLOY,
        run,
        Names.AN_APP,
        arguments=(words("argv", "COMMAND"),),
        options=(
            click.Option(
                ["-e", "--env"],
                multiple=True,
                metavar="KEY=VALUE",
                help="Another variable for its environment.",
            ),
            click.Option(["--no-tty"], is_flag=True, help="Use pipes even on a terminal."),
        ),
        passes_through=True,
        description="Options come before the app. Over ssh, `ssh -t` gives it a terminal.",
    ),
)
