"""The commands that explain: everything they say comes from the table of commands."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import words as words_argument
from paas.cli.output import columns
from paas.cli.parsing import common_options
from paas.cli.session import Session
from paas.model.report import WIDTH

MANY = 15
"""Commands of one noun that the list of all still shows one by one."""


def show_help(session: Session, words: tuple[str, ...]) -> None:
    """Explain one command, the commands of a noun, or list all."""
    if not words:
        _everything(session)
    elif words[0] in session.table.nouns() and words[0] not in session.table:
        _noun(session, words[0])
    else:
        command = session.table.find(words[0])
        _command(session, command)
        if command.name == command.noun and len(session.table.of_noun(command.noun)) > 1:
            session.output.line("")
            _noun(session, command.noun)


def _everything(session: Session) -> None:
    session.output.line("Usage: paas [--quiet] [--force] [--app APP] COMMAND [...]")
    session.output.line("")
    session.output.line("Commands:")
    rows = [row for noun in session.table.nouns() for row in _rows(noun, _shown(session, noun))]
    for line in columns(rows):
        session.output.line(line)
    session.output.line("")
    session.output.line("Say `paas help COMMAND` or `paas help NOUN` for more.")


def _shown(session: Session, noun: str) -> list[Command]:
    return [command for command in session.table.of_noun(noun) if not command.hidden]


def _rows(noun: str, commands: Sequence[Command]) -> list[tuple[str, str]]:
    """A line for each command, or one for all that would hide those of the other nouns."""
    if len(commands) <= MANY:
        return [(f"  {command.name}", command.summary) for command in commands]
    return [(f"  {noun}:*", f"{commands[0].summary}, and {len(commands) - 1} more")]


def _noun(session: Session, noun: str) -> None:
    commands = _shown(session, noun)
    for line in columns([(f"  {command.usage}", command.summary) for command in commands]):
        session.output.line(line)


def _command(session: Session, command: Command) -> None:
    session.output.line(f"Usage: paas {command.usage}")
    session.output.line("")
    session.output.line(textwrap.fill(f"{command.summary}. {command.description}".strip(), WIDTH))
    options = [*command.options, *common_options()]
    rows = [(f"  {_flags(option)}", option.help or "") for option in options if not option.hidden]
    session.output.line("")
    for line in columns(rows):
        session.output.line(line)


def _flags(option: click.Option) -> str:
    flags = ", ".join((*option.opts, *option.secondary_opts))
    return flags if option.is_flag else f"{flags} {option.metavar or ''}".rstrip()


COMMANDS = (
    Command(
        "help",
        "List commands, or explain one",
        Access.PUBLIC,
        show_help,
        arguments=(words_argument("words", "COMMAND", required=False),),
    ),
)
