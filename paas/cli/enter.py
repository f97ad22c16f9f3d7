"""The command that joins a running instance."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import words
from paas.cli.parsing import END_OF_OPTIONS
from paas.cli.run import no_tty_option, terminal_of
from paas.cli.session import Session
from paas.model.app import App


def enter(session: Session, app: App, argv: tuple[str, ...], *, no_tty: bool) -> int:
    """Run a command in a running instance; its exit code is ours."""
    session.request.channel.end_with_client()
    instances = session.platform.instances
    process, command = instances.split(app, argv)
    if command[:1] == (END_OF_OPTIONS,):
        command = command[1:]
    return instances.enter(app, process, command, terminal_of(session, no_tty=no_tty))


COMMANDS = (
    Command(
        "enter",
        "Run a command or a shell in a running instance",
        Access.DEPLOY,
        enter,
        Names.AN_APP,
        arguments=(words("argv", "[PROCESS-TYPE[.NUMBER]] [COMMAND]", required=False),),
        options=(no_tty_option(),),
        passes_through=True,
        description="Without an instance it is web.1, without a command a shell. "
        "Over ssh, `ssh -t` gives it a terminal.",
    ),
)
