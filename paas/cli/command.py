"""What a command is: a name, what it needs, its parameters, and the function it calls."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import click

from paas.cli.access import Access
from paas.errors import PaasError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*(:[a-z][a-z-]*){0,2}")


class UnknownCommand(PaasError):
    """Nothing is called that."""


class Names(Enum):
    """How a command takes the app it is about: by `--app`, or as its first word."""

    NO_APP = "none"
    AN_APP = "required"
    """The function gets `app: App`; a missing one is exit code 20."""
    MAYBE_AN_APP = "optional"
    """The function gets `app: App | None`."""
    APP_OR_GLOBAL = "app or server"
    """The function gets `app: App | None`: None is what `--global` says, not what is missing."""
    AN_APP_LAST = "required, as the last word"
    """As `AN_APP`, behind the arguments: `postgres:link db app`."""
    A_NAME = "name"
    """The function gets `app: str`, an app that may not exist."""


_APP_USAGE = {Names.MAYBE_AN_APP: "[<app>]", Names.APP_OR_GLOBAL: "<app>|--global"}


@dataclass(frozen=True)
class Command:
    """One command. `run` is called as `run(session, **parameters)` and gives the exit code.

    `access` has no default: what does not say what it needs cannot be registered.
    `options` and `arguments` are click's. With `passes_through`, options end at the first
    word: what follows belongs to somebody else's command. With `verbatim` there are none:
    the words were put there by a program.
    """

    name: str
    summary: str
    access: Access
    run: Callable[..., int | None]
    app: Names = Names.NO_APP
    arguments: tuple[click.Argument, ...] = ()
    options: tuple[click.Option, ...] = ()
    passes_through: bool = False
    verbatim: bool = False
    description: str = ""
    hidden: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.access, Access):
            raise TypeError(f"command {self.name} does not declare the access it needs")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a command")

    @property
    def noun(self) -> str:
        """`config` of `config:set`."""
        return self.name.partition(":")[0]

    @property
    def most_words(self) -> int | None:
        """How many words `arguments` take at most; None when there is no limit."""
        if any(argument.nargs < 0 for argument in self.arguments):
            return None
        return sum(argument.nargs for argument in self.arguments)

    @property
    def usage(self) -> str:
        """`config:get <app> KEY`."""
        parts = [self.name]
        parts += [f"[{_option_usage(option)}]" for option in self.options if not option.hidden]
        if self.app not in (Names.NO_APP, Names.AN_APP_LAST):
            parts.append(_APP_USAGE.get(self.app, "<app>"))
        for argument in self.arguments:
            word = argument.metavar or (argument.name or "").upper()
            parts.append(word if argument.required else f"[{word}]")
        if self.app is Names.AN_APP_LAST:
            parts.append("<app>")
        return " ".join(parts)


class Table:
    """All commands, each name once."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands: dict[str, Command] = {}
        for command in commands:
            if command.name in self._commands:
                raise ValueError(f"two commands are called {command.name}")
            self._commands[command.name] = command

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def __contains__(self, name: str) -> bool:
        return name in self._commands

    def find(self, name: str) -> Command:
        """The command called `name`. Raises `UnknownCommand`, with the likely ones."""
        try:
            return self._commands[name]
        except KeyError:
            raise self._unknown(name) from None

    def of_noun(self, noun: str) -> list[Command]:
        """The commands of one noun, in the order of the table."""
        return [command for command in self._commands.values() if command.noun == noun]

    def nouns(self) -> list[str]:
        """Every noun once, in the order of the table."""
        return list(dict.fromkeys(command.noun for command in self._commands.values()))

    def _unknown(self, name: str) -> UnknownCommand:
        shown = name if name.isprintable() else ascii(name)
        visible = [command.name for command in self._commands.values() if not command.hidden]
        close = difflib.get_close_matches(name, visible, n=3, cutoff=0.7)
        return UnknownCommand(
            f"`{shown[:80]}` is not a paas command.",
            details=[f"Did you mean {_either(close)}?"] if close else (),
            resolution="See `paas help` for a list of available commands.",
        )


def _option_usage(option: click.Option) -> str:
    flags = "|".join((*option.opts, *option.secondary_opts))
    return flags if option.is_flag else f"{flags} {option.metavar or (option.name or '').upper()}"


def _either(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)
