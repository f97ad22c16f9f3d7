"""Every command that changes state is killed before each of its effects, or says why not.

A command changes something unless it needs no more than to look. Those of datastores are one
set of functions for each of them: they are killed once, of the one that stands for all.
"""

from __future__ import annotations

import ast

from paas.cli.access import Access
from tests.engine.commands import CASES, ELSEWHERE, SERVICE
from tests.rules.tools import CHECKOUT
from tests.unit.cli.caller import every_command

LOOKING = {Access.PUBLIC, Access.VIEW}

CHANGING = [command for command in every_command() if command.access not in LOOKING]
NOUNS = {name.partition(":")[0] for name in (command.name for command in CHANGING)}
DATASTORES = {noun for noun in NOUNS if any(one.name == f"{noun}:promote" for one in CHANGING)}
"""What has links has the commands of every datastore."""


def folded(name: str) -> str:
    noun, colon, verb = name.partition(":")
    return f"{SERVICE}{colon}{verb}" if noun in DATASTORES else name


def test_datastores_are_known_by_their_commands() -> None:
    assert {"postgres", "redis", "mariadb"} <= DATASTORES
    assert not DATASTORES & {"apps", "config", "network"}


def test_what_changes_state_is_killed_or_says_why_not() -> None:
    killed = {case.name for case in CASES}
    without = {folded(one.name) for one in CHANGING} - killed - ELSEWHERE.keys()
    assert sorted(without) == []


def test_nothing_is_said_of_what_is_killed_or_is_not_there() -> None:
    known = {folded(command.name) for command in every_command()}
    assert sorted(ELSEWHERE.keys() & {case.name for case in CASES}) == []
    assert sorted(ELSEWHERE.keys() - known) == []


def test_what_is_killed_elsewhere_is_killed_by_a_test_that_there_is() -> None:
    for name, where in ELSEWHERE.items():
        path, colons, test = where.partition("::")
        if colons:
            tree = ast.parse((CHECKOUT / "tests" / path).read_bytes())
            tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert test in tests, name
