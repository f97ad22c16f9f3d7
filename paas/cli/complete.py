"""Completion for shells: the words that could come next, from the table and the store.

The scripts ask the `paas` that they complete, here or over ssh, so what they offer is what
that server has and what the caller may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import words as words_argument
from paas.cli.parsing import END_OF_OPTIONS, Misused, common_options
from paas.cli.session import Session
from paas.model.app import App

SHELLS = ("bash", "zsh")


def script(session: Session, shell: str) -> None:
    """Print what a shell's start-up file evaluates."""
    if shell not in SHELLS:
        raise Misused(f"There is completion for {' and '.join(SHELLS)}")
    session.output.data((files("paas.cli") / "completion" / f"paas.{shell}").read_bytes())


def complete(session: Session, words: tuple[str, ...]) -> None:
    """Print the words that could stand for the last of `words`, one a line."""
    *before, partial = words or ("",)
    for candidate in sorted(set(_candidates(session, before, partial))):
        if candidate.startswith(partial):
            session.output.line(candidate)


def _candidates(session: Session, before: Sequence[str], partial: str) -> Iterable[str]:
    app, left = _split(common_options(), before)
    if not left:
        return _flags(common_options()) if _is_flag(partial) else _names(session)
    if left[0] not in session.table:
        return ()
    command = session.table.find(left[0])
    options = [*command.options, *common_options()]
    named, positional = _split(options, left[1:])
    if _is_flag(partial):
        return _flags(options)
    return _words(session, command, named or app, positional)


def _words(
    session: Session, command: Command, app: str | None, positional: Sequence[str]
) -> Iterable[str]:
    rest = list(positional)
    if command.app is not Names.NO_APP and app is None:
        if not rest:
            return _apps(session)
        app = rest.pop(0)
    if not command.arguments:
        return ()
    argument = command.arguments[min(len(rest), len(command.arguments) - 1)]
    if len(rest) >= len(command.arguments) and argument.nargs >= 0:
        return ()
    if command.name == "help":
        return _names(session)
    known = next((each for each in session.apps() if each.name == app), None)
    offer = OFFERS.get((command.noun, (argument.metavar or "").removesuffix("...")))
    return offer(session, known) if offer and known else ()


def _split(options: Iterable[click.Option], words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The app that `--app` names, and the words that are neither options nor their values."""
    takes = {name: option for option in options for name in option.opts if not option.is_flag}
    app, left, queue = None, [], list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.partition("=")
        if name in takes:
            value = value if equals else (queue.pop(0) if queue else "")
            app = value if name == "--app" else app
        elif not _is_flag(word) or word == END_OF_OPTIONS:
            left.append(word)
    return app, left


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _flags(options: Iterable[click.Option]) -> list[str]:
    return [name for option in options if not option.hidden for name in option.opts]


def _names(session: Session) -> list[str]:
    may = session.permissions
    never = {access for access in Access if not may.may(access) and may.roles is None}
    if may.roles is not None:
        never = {Access.ADMIN, Access.ROOT}
    return [each.name for each in session.table if not each.hidden and each.access not in never]


def _apps(session: Session) -> list[str]:
    return [app.name for app in session.apps()]


def _process_types(session: Session, app: App) -> list[str]:
    if app.live is None:
        return []
    return list(session.store.releases.get(app.id, app.live).processes)


def _quantities(session: Session, app: App) -> list[str]:
    return [f"{name}=" for name in _process_types(session, app)]


def _keys(session: Session, app: App) -> list[str]:
    return list(session.store.config.get(app.id))


def _pairs(session: Session, app: App) -> list[str]:
    return [f"{key}=" for key in _keys(session, app)]


def _versions(session: Session, app: App) -> list[str]:
    return [release.version for release in session.store.releases.list(app.id)]


def _domains(session: Session, app: App) -> list[str]:
    return session.store.domains.list(app.id)


OFFERS: dict[tuple[str, str], Callable[[Session, App], list[str]]] = {
    ("ps", "PROCESS-TYPE"): _process_types,
    ("ps", "PROCESS-TYPE=QUANTITY"): _quantities,
    ("run", "COMMAND"): _process_types,
    ("config", "KEY"): _keys,
    ("config", "KEY=VALUE"): _pairs,
    ("releases", "VERSION"): _versions,
    ("rollback", "VERSION"): _versions,
    ("domains", "DOMAIN"): _domains,
}
"""By the noun of a command and what it calls an argument."""


COMMANDS = (
    Command(
        "completion",
        "Print the completion for a shell: bash or zsh",
        Access.PUBLIC,
        script,
        arguments=(click.Argument(["shell"], metavar="SHELL", type=click.UNPROCESSED),),
        description='In ~/.bashrc: eval "$(paas completion bash)". Likewise for zsh.',
    ),
    Command(
        "complete",
        "Print what could come next on a command line",
        Access.PUBLIC,
        complete,
        arguments=(words_argument("words", "WORD", required=False),),
        verbatim=True,
        hidden=True,
    ),
)
