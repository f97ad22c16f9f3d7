"""What holds for every command: forms for programs, questions before losses, `--app`, codes."""
# ruff: noqa: ARG002  what is given to a part that does nothing

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paas.cli.access import Access
from paas.cli.command import Command, Names, Table
from tests.unit.cli.caller import KEY, ROOT, Paas, every_command

EVERY = {command.name: command for command in every_command()}

LISTS = {
    "list", "report", "info", "history", "keys", "links", "app-links", "stats",
    "bundled", "metrics",
}  # fmt: skip
"""The last word of what answers with a list or a report."""

ALONE = {"ps", "releases", "events", "report", "df", "doctor"}

LOSSES = {"destroy", "restore", "prune", "down"}
"""The last word of what cannot be taken back."""

MORE_LOSSES = {"letsencrypt:revoke"}


def verb(command: Command) -> str:
    return command.name.rpartition(":")[2]


def test_every_list_and_report_is_there_for_programs() -> None:
    without = [
        name
        for name, command in EVERY.items()
        if (verb(command) in LISTS or name in ALONE)
        and not any("--format" in option.opts for option in command.options)
    ]
    assert without == []


def answers(told: dict[str, Any], command: Command) -> Command:
    """The command, with a function that notes what it was given and does nothing."""

    def run(session: object, **parameters: Any) -> int:
        told.update(parameters)
        return 0

    return replace(command, run=run)


def line_of(command: Command, app: str, *, as_flag: bool) -> list[str]:
    required = ["x" for argument in command.arguments if argument.required]
    if as_flag:
        return [command.name, "--app", app, *required]
    last = command.app is Names.AN_APP_LAST
    return [command.name, *(required if last else [app]), *([app] if last else required)]


ABOUT_AN_APP = [
    command
    for command in EVERY.values()
    if command.app in {Names.AN_APP, Names.AN_APP_LAST, Names.APP_OR_GLOBAL, Names.MAYBE_AN_APP}
]


def test_every_command_takes_its_app_as_a_word_and_as_a_flag(paas: Paas) -> None:
    paas.store.apps.create("shop")
    for command in ABOUT_AN_APP:
        for as_flag in (False, True):
            told: dict[str, Any] = {}
            paas.table = Table([answers(told, command)])
            said = paas(*line_of(command, "shop", as_flag=as_flag), caller=ROOT)
            assert said.code == 0, (command.name, said.err)
            assert told["app"].name == "shop", command.name


def test_for_every_command_an_app_that_is_not_there_is_exit_20(paas: Paas) -> None:
    for command in ABOUT_AN_APP:
        paas.table = Table([answers({}, command)])
        said = paas(*line_of(command, "nosuch", as_flag=True), caller=ROOT)
        assert (said.code, "nosuch" in said.err) == (20, True), (command.name, said.err)


def test_every_command_knows_quiet_force_and_help(paas: Paas) -> None:
    paas.store.apps.create("shop")
    for command in EVERY.values():
        if command.verbatim:
            continue
        told: dict[str, Any] = {}
        helping = [EVERY["help"]] if command.name != "help" else []
        paas.table = Table([answers(told, command), *helping])
        if not helping:
            continue
        assert command.summary in paas(command.name, "--help", caller=ROOT).out, command.name
        assert told == {}
        line = line_of(command, "shop", as_flag=command.app is not Names.NO_APP)
        if command.app is Names.NO_APP:
            line.remove("shop")
        said = paas(line[0], "--quiet", "--force", *line[1:], caller=ROOT)
        assert said.code == 0, (command.name, said.err)


class Anything:
    """A part of the platform that has everything and does nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: object, **named: object) -> Any:
        return self


def loses(command: Command) -> bool:
    return verb(command) in LOSSES or command.name in MORE_LOSSES


@pytest.mark.parametrize("name", sorted(name for name, one in EVERY.items() if loses(one)))
def test_what_cannot_be_taken_back_asks_for_the_name(paas: Paas, name: str) -> None:
    """Over ssh there is nobody to ask: then it needs --force."""
    command = EVERY[name]
    paas.platform = Anything()  # type: ignore[assignment]
    app = paas.store.apps.create("shop")
    caller = ROOT if command.access is Access.ROOT else KEY
    line = [name]
    if command.app is not Names.NO_APP:
        line.append(app.name)
    elif command.arguments:
        line.append("thing")
        noun = name.partition(":")[0]
        if f"{noun}:link" in EVERY and noun != "network":
            paas.store.services.create(noun, "thing", version="1", memory=1, credentials={})
    if name == "down":
        line.append("--purge")
    if name == "images:prune":
        line.append("--all")
    said = paas(*line, caller=caller)
    assert said.code == 1, said
    assert "Potentially Destructive" in said.err
    assert "Add --force if you mean it." in said.err
