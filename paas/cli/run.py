"""The commands that run one command of an app, in a container of its own."""

from __future__ import annotations

import re

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word, words
from paas.cli.output import columns, moment
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.session import Session
from paas.deploy.applogs import Wanted
from paas.errors import NotFound
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.duration import parse_duration
from paas.model.env import parse_value
from paas.model.names import parse_config_key, shown

RUN = "run"
DEFAULT_LINES = 100


def run(
    session: Session,
    app: App,
    argv: tuple[str, ...],
    env: tuple[str, ...],
    ttl: str | None,
    *,
    no_tty: bool,
) -> int:
    """Run a command with the app's image and config; its exit code is ours."""
    command, variables = _command(argv), dict(_variable(pair) for pair in env)
    ttl_s = parse_duration(ttl) if ttl else None
    session.request.channel.end_with_client()
    terminal = terminal_of(session, no_tty=no_tty)
    return session.platform.run(app, command, env=variables, terminal=terminal, ttl_s=ttl_s)


def detached(
    session: Session, app: App, argv: tuple[str, ...], env: tuple[str, ...], ttl: str
) -> None:
    """Start a command that nobody waits for, and print its name."""
    command, variables = _command(argv), dict(_variable(pair) for pair in env)
    ttl_s = parse_duration(ttl)
    name = session.platform.run_detached(app, command, env=variables, ttl_s=ttl_s)
    session.store.events.add(session.actor, app.name, "run:detached", name)
    session.output.line(name)


def listing(session: Session, app: App, form: str) -> None:
    """Show the one-offs of an app that run."""
    found = session.platform.oneoffs.list(app)
    if form == "json":
        session.output.json(
            [
                {
                    "name": one.name,
                    "command": one.command,
                    "state": one.state,
                    "detached": one.detached,
                    "since": moment(one.since),
                    "container": one.container,
                }
                for one in found
            ]
        )
        return
    session.report.result(f"{app.name} run containers")
    rows = [(one.name, one.state, moment(one.since), one.command) for one in found]
    for line in columns([("NAME", "STATE", "SINCE", "COMMAND"), *rows]):
        session.output.line(line)


def logs(session: Session, app: App, name: str | None, num: int, *, tail: bool) -> None:
    """Show what detached one-offs printed, also those that have ended."""
    if tail:
        session.request.channel.end_with_client()
    process = _name(app, name) if name else RUN
    wanted = Wanted(num, follow=tail, process=process)
    session.platform.logs(app, wanted, session.output.foreign)


def stop(session: Session, app: App, name: str | None) -> None:
    """Stop one one-off, or all of an app."""
    named = _name(app, name) if name else None
    stopped = session.platform.oneoffs.stop(app, named)
    for each in stopped:
        session.report.step(f"Stopped {each} of {app.name}")
        session.store.events.add(session.actor, app.name, "run:stop", each)
    if not stopped:
        session.report.step(f"Nothing to stop: {app.name} runs no one-off")


class Plain(Terminal):
    """A terminal that is used as if it were pipes."""

    @property
    def isatty(self) -> bool:
        """Never."""
        return False


def terminal_of(session: Session, *, no_tty: bool) -> Terminal:
    """The caller's descriptors; with `no_tty` as if they were pipes."""
    return session.terminal(Plain if no_tty else Terminal)


def no_tty_option() -> click.Option:
    """`--no-tty`, given to the function as `no_tty`."""
    return click.Option(["--no-tty"], is_flag=True, help="Use pipes even on a terminal.")


def _command(argv: tuple[str, ...]) -> tuple[str, ...]:
    command = argv[1:] if argv[0] == END_OF_OPTIONS else argv
    if not command:
        raise Misused("Please specify a command to run")
    return command


def _variable(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise Misused(f"{shown(pair)} is not of the form KEY=VALUE")
    return parse_config_key(key), parse_value(key, value)


def _name(app: App, text: str) -> str:
    """The name of a one-off, also where it is written behind that of the app."""
    name = text.removeprefix(f"{app.name}.")
    if not re.fullmatch(r"run\.[0-9a-f]{4}", name):
        raise NotFound(
            f"{shown(text)} is not the name of a one-off",
            resolution=f"See what there is: paas run:list {app.name}",
        )
    return name


def _env_option() -> click.Option:
    return click.Option(
        ["-e", "--env"],
        multiple=True,
        metavar="KEY=VALUE",
        help="Another variable for its environment.",
    )


def _ttl_option(default: str | None, text: str) -> click.Option:
    return click.Option(
        ["--ttl", "--ttl-seconds", "ttl"], default=default, metavar="TIME", help=text
    )


COMMANDS = (
    Command(
        "run",
        "Run a command in a new container of an app",
        Access.DEPLOY,
        run,
        Names.AN_APP,
        arguments=(words("argv", "COMMAND"),),
        options=(
            _env_option(),
            _ttl_option(None, "End it after so long, with exit code 124: 90s, 15m, 2h."),
            no_tty_option(),
        ),
        passes_through=True,
        description="Options come before the app. A single word that names a process type of "
        "the Procfile runs what stands there. Over ssh, `ssh -t` gives it a terminal.",
    ),
    Command(
        "run:detached",
        "Start a command in a new container of an app, and do not wait",
        Access.DEPLOY,
        detached,
        Names.AN_APP,
        arguments=(words("argv", "COMMAND"),),
        options=(_env_option(), _ttl_option("24h", "End it after so long, 24h unless given.")),
        passes_through=True,
        description="Prints its name. What it writes is in the app's log, and in run:logs.",
    ),
    Command(
        "run:list",
        "Show the one-offs of an app",
        Access.VIEW,
        listing,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "run:logs",
        "Show the output of detached one-offs",
        Access.VIEW,
        logs,
        Names.AN_APP,
        arguments=(one_word("name", "NAME", required=False),),
        options=(
            click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes."),
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(0, 1_000_000),
                default=DEFAULT_LINES,
                metavar="LINES",
                help=f"How many lines, {DEFAULT_LINES} unless given.",
            ),
        ),
    ),
    Command(
        "run:stop",
        "Stop one one-off, or all of an app",
        Access.DEPLOY,
        stop,
        Names.AN_APP,
        arguments=(one_word("name", "NAME", required=False),),
    ),
)
