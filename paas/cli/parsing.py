"""From words to parameters: the flags every command knows, its options, its arguments.

Two passes: click takes the options out, which shows whether the app was named by `--app`;
the words that are left are then bound to the app and the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from paas.cli.command import Command, Names
from paas.errors import PaasError

END_OF_OPTIONS = "--"


class Misused(PaasError):
    """The words after the command are not what it takes."""


@dataclass(frozen=True)
class Flags:
    """What every command understands, before its name and after it."""

    app: str | None = None
    quiet: bool = False
    force: bool = False
    help: bool = False
    version: bool = False


@dataclass(frozen=True)
class Parsed:
    """A command's words, understood. `app` is the name that was given, if any."""

    flags: Flags
    app: str | None
    parameters: dict[str, Any]


def common_options() -> list[click.Option]:
    """Fresh ones: click gives an option to one command only."""
    return [
        click.Option(["--app"], metavar="APP", help="The app, instead of the first word."),
        click.Option(["--quiet"], is_flag=True, help="Print data only, no headings."),
        click.Option(["--force"], is_flag=True, help="Do not ask before something is lost."),
        click.Option(["--help", "-h"], is_flag=True, help="Say what the command does."),
    ]


GLOBAL = "everywhere"


def _global_option(command: Command) -> list[click.Option]:
    if command.app is not Names.APP_OR_GLOBAL:
        return []
    meaning = "For the server: all apps without a setting of their own."
    return [click.Option(["--global", GLOBAL], is_flag=True, help=meaning)]


COMMON = ("app", "quiet", "force", "help")


def split_flags(argv: Sequence[str]) -> tuple[Flags, list[str]]:
    """The flags before the command's name, and the rest. Raises `Misused`."""
    options = [*common_options(), click.Option(["--version", "-v"], is_flag=True)]
    words = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    values = _parse("paas", [*options, words], argv, passes_through=True)
    return Flags(**{name: values[name] for name in (*COMMON, "version")}), list(values["words"])


def parse(command: Command, words: Sequence[str], before: Flags) -> Parsed:
    """Understand the words after a command's name. Raises `Misused`."""
    rest = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    try:
        values = _parse(
            command.name,
            [*command.options, *_global_option(command), *common_options(), rest],
            [END_OF_OPTIONS, *words] if command.verbatim else words,
            passes_through=command.passes_through,
        )
        flags = Flags(
            app=values.pop("app") or before.app,
            quiet=values.pop("quiet") or before.quiet,
            force=values.pop("force") or before.force,
            help=values.pop("help") or before.help,
        )
        left = list(values.pop("words"))
        if flags.help:
            return Parsed(flags, None, {})
        app = None if values.pop(GLOBAL, False) else _take_app(command, left, flags.app)
        bound = _parse(command.name, command.arguments, [END_OF_OPTIONS, *left])
    except Misused as error:
        raise Misused(error.brief, resolution=f"Usage: paas {command.usage}") from None
    return Parsed(flags, app, values | bound)


def _take_app(command: Command, words: list[str], named: str | None) -> str | None:
    """The app's name, taken off the words unless it was named by a flag.

    A word too many is the app all the same: a client that finds the app by its git remote
    names it always, and what was typed is meant.
    """
    if command.app is Names.NO_APP:
        return None
    most = command.most_words
    if words and (named is None or (most is not None and len(words) > most)):
        return words.pop(-1 if command.app is Names.AN_APP_LAST else 0)
    if named is None and command.app is Names.APP_OR_GLOBAL:
        raise Misused("Please specify an app to run the command on, or --global")
    if named is None and command.app is not Names.MAYBE_AN_APP:
        raise Misused("Please specify an app to run the command on")
    return named


def _parse(
    name: str,
    parameters: Sequence[click.Parameter],
    words: Sequence[str],
    *,
    passes_through: bool = False,
) -> dict[str, Any]:
    command = click.Command(name, params=list(parameters), add_help_option=False)
    command.allow_interspersed_args = not passes_through
    try:
        with command.make_context(name, list(words)) as context:
            return dict(context.params)
    except click.ClickException as error:
        raise Misused(error.format_message().rstrip(".")) from None
