"""Whatever prints a table has a form for programs, too: `--format json`.

Which commands do is read from the code: those whose function, or one that it calls within
`paas/cli`, lays text out in columns or writes a list of names.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import MethodType
from typing import Any

from paas.cli.command import Command
from tests.rules.tools import CHECKOUT
from tests.unit.cli.caller import every_command

CLI = "paas.cli."
LAYS_OUT = ("columns", "names")

NO_ANSWERS = {
    "help": "text for people; for programs there is `complete`",
    "config:set": "what it has done; config:show tells what is",
    ":create": "what it has done; :info tells what is",
    "releases:retain": "one number, which is JSON already",
}
"""What prints no answer, or one that needs no form, with the reason."""

Place = tuple[str, str]
"""A module and the qualified name of a function in it."""


@cache
def module(name: str) -> tuple[dict[str, ast.FunctionDef], dict[str, Place]]:
    """The functions and methods of a module, and what it imports by which names."""
    path = CHECKOUT / f"{name.replace('.', '/')}.py"
    functions: dict[str, ast.FunctionDef] = {}
    imports: dict[str, Place] = {}
    if not name.startswith(CLI) or not path.exists():
        return functions, imports
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef():
                functions[node.name] = node
            case ast.ClassDef():
                methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
                functions |= {f"{node.name}.{each.name}": each for each in methods}
            case ast.ImportFrom(module=str(origin)):
                imports |= {each.asname or each.name: (origin, each.name) for each in node.names}
    return functions, imports


def called(place: Place) -> Iterator[Place]:
    """What a function calls, as far as it is known from its text."""
    name, function = place
    functions, imports = module(name)
    of_class = function.rpartition(".")[0]
    for node in ast.walk(functions[function]):
        match node:
            case ast.Call(func=ast.Name(id=word)):
                yield imports.get(word, (name, word))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=word)):
                yield name, f"{of_class}.{word}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=word)):
                origin, alias = imports.get(owner, ("", owner))
                yield f"{origin}.{alias}", word
            case ast.Call(func=ast.Attribute(attr=word)):
                yield "", word


@cache
def prints_a_table(place: Place) -> bool:
    if place[1] not in module(place[0])[0]:
        return False
    return any(
        one[1] in LAYS_OUT or (one != place and prints_a_table(one)) for one in called(place)
    )


def place_of(run: Callable[..., Any]) -> Place:
    while isinstance(run, functools.partial):
        run = run.func
    function = run.__func__ if isinstance(run, MethodType) else run
    return function.__module__, function.__qualname__


def without_a_form(commands: Iterable[Command]) -> list[str]:
    return [
        one.name
        for one in commands
        if not any({"--format", "--json"} & {*option.opts} for option in one.options)
        and not one.name.endswith((*NO_ANSWERS,))
    ]


def test_what_prints_a_table_has_a_form_for_programs() -> None:
    tables = [one for one in every_command() if prints_a_table(place_of(one.run))]
    assert {"ps", "postgres:backup:list", "images:list", "postgres:links"} <= {
        one.name for one in tables
    }, "they are not found in the code any more"
    assert without_a_form(tables) == []


def test_so_does_what_is_named_after_one() -> None:
    shows = ("Show or set", "List the", "Print every", "Back up a Postgres service by a cron")
    named = [one for one in every_command() if one.name.endswith((":list", ":report", ":info"))]
    named += [one for one in every_command() if one.summary.startswith(shows)]
    assert without_a_form(named) == []
