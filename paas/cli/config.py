"""The commands of config: the environment of an app."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, no_restart_option, one_word, words
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.model.app import App
from paas.model.env import (
    MAX_ENVIRONMENT_STRING,
    MAX_VALUE_BYTES,
    InvalidValue,
    Secret,
    fits_environment,
    parse_value,
    revealed,
)
from paas.model.names import parse_config_key, shown

LONGEST_SHOWN = 120
"""Characters of a value that `config:set` repeats."""


def set_vars(
    session: Session, app: App, pairs: tuple[str, ...], *, no_restart: bool, encoded: bool
) -> None:
    """Set variables, then restart the app."""
    values = dict(_pair(session, pair, encoded=encoded) for pair in pairs)
    session.report.step("Setting config vars")
    _repeat(session, values)
    _warn_of_size(session, values)
    _apply(session, app, values, (), no_restart=no_restart)


def unset(session: Session, app: App, keys: tuple[str, ...], *, no_restart: bool) -> None:
    """Unset variables, then restart the app."""
    for key in keys:
        session.report.step(f"Unsetting {parse_config_key(key)}")
    _apply(session, app, {}, keys, no_restart=no_restart)


def clear(session: Session, app: App, *, no_restart: bool) -> None:
    """Unset all variables, then restart the app."""
    session.report.step("Unsetting all config vars")
    _apply(session, app, {}, session.store.config.get(app.id), no_restart=no_restart)


def get(session: Session, app: App, key: str) -> int:
    """Print a bare value; 1 when it is not set."""
    value = session.store.config.get(app.id).get(key)
    if value is None:
        return 1
    session.output.line(value.reveal())
    return 0


def show(session: Session, app: App, form: str) -> None:
    """Print all variables, aligned."""
    values = _values(session, app)
    if form == "json":
        session.output.json(values)
        return
    session.report.result(f"{app.name} env vars")
    for line in columns([(f"{key}:", value) for key, value in values.items()]):
        session.output.line(line)


def keys(session: Session, app: App) -> None:
    """Print the names of all variables."""
    for key in session.store.config.get(app.id):
        session.output.line(key)


def export(session: Session, app: App, form: str) -> None:
    """Print all variables for a shell or a program to read."""
    session.output.data(exported(_values(session, app), form).encode())


def exported(values: Mapping[str, str], form: str) -> str:
    """The variables in one of the formats of `config:export`."""
    pairs = [f"{key}={quoted(value)}" for key, value in values.items()]
    match form:
        case "json":
            return json.dumps(values, ensure_ascii=False) + "\n"
        case "json-list":
            entries = [{"name": key, "value": value} for key, value in values.items()]
            return json.dumps(entries, ensure_ascii=False) + "\n"
        case "shell":
            return " ".join(pairs) + "\n"
        case _:
            return "".join(f"export {pair}\n" for pair in pairs)


def quoted(value: str) -> str:
    """One word of a POSIX shell that means `value`, whatever it holds (XCU 2.2.2)."""
    return "'" + value.replace("'", "'\\''") + "'"


def _pair(session: Session, pair: str, *, encoded: bool) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise Misused(
            f"{shown(pair)} is not of the form KEY=VALUE",
            resolution="Quote a value with spaces: KEY='a value'; KEY=- reads it from stdin.",
        )
    parse_config_key(key)
    if value == "-":
        value = _from_input(session, key)
    if encoded:
        value = _decoded(key, value)
    return key, parse_value(key, value)


def _from_input(session: Session, key: str) -> str:
    """Standard input as it is; a single line (`echo secret | …`) without its newline."""
    # Its own limit gives the better message for what is only a little too long.
    text = _text(key, session.read_input(2 * MAX_VALUE_BYTES))
    return text.removesuffix("\n").removesuffix("\r") if text.count("\n") == 1 else text


def _decoded(key: str, value: str) -> str:
    try:
        return _text(key, base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        raise InvalidValue(f"The value of {key} is not base64") from None


def _text(key: str, data: bytes) -> str:
    # What is not UTF-8 is refused by `parse_value`, by name.
    return parse_value(key, data.decode("utf-8", "surrogateescape"))


def _values(session: Session, app: App) -> dict[str, str]:
    return revealed(session.store.config.get(app.id))


def _repeat(session: Session, values: Mapping[str, str]) -> None:
    for line in columns([(f"{key}:", _short(value)) for key, value in values.items()]):
        session.report.detail(line)


def _warn_of_size(session: Session, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if not fits_environment(key, Secret(value)):
            session.report.warn(f"{key} is kept, but no process gets it: Linux takes")
            session.report.warn(f"{MAX_ENVIRONMENT_STRING // 1024} KiB in one environment variable")


def _short(value: str) -> str:
    first, newline, _ = value.partition("\n")
    if not newline and len(first) <= LONGEST_SHOWN:
        return value
    return f"{first[:LONGEST_SHOWN]}... ({len(value.encode())} bytes)"


def _apply(
    session: Session,
    app: App,
    values: Mapping[str, str],
    unset_keys: Mapping[str, object] | tuple[str, ...],
    *,
    no_restart: bool,
) -> None:
    if not no_restart and app.can_run:
        session.report.step(f"Restarting app {app.name}")
    session.platform.apply_config(
        app,
        values,
        list(unset_keys),
        actor=session.actor,
        report=session.report,
        restart=not no_restart,
    )


COMMANDS = (
    Command(
        "config:set",
        "Set one or more config vars",
        Access.DEPLOY,
        set_vars,
        Names.AN_APP,
        arguments=(words("pairs", "KEY=VALUE"),),
        options=(
            no_restart_option(),
            click.Option(["--encoded"], is_flag=True, help="The values are base64."),
        ),
        description=(
            "KEY=- reads the value from standard input, as it is; a single line loses its"
            " newline. All variables are set, or none."
        ),
    ),
    Command(
        "config:get",
        "Print the value of a config var",
        Access.VIEW,
        get,
        Names.AN_APP,
        arguments=(one_word("key", "KEY"),),
        description="Ends with 1 when it is not set.",
    ),
    Command(
        "config:unset",
        "Unset one or more config vars",
        Access.DEPLOY,
        unset,
        Names.AN_APP,
        arguments=(words("keys", "KEY"),),
        options=(no_restart_option(),),
    ),
    Command(
        "config:clear",
        "Unset all config vars",
        Access.DEPLOY,
        clear,
        Names.AN_APP,
        options=(no_restart_option(),),
    ),
    Command(
        "config:show",
        "Show the config vars of an app",
        Access.VIEW,
        show,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command("config:keys", "Show the names of config vars", Access.VIEW, keys, Names.AN_APP),
    Command(
        "config:export",
        "Export config vars for a shell or a program",
        Access.VIEW,
        export,
        Names.AN_APP,
        options=(
            click.Option(
                ["--format", "form"],
                type=click.Choice(["exports", "shell", "json", "json-list"]),
                default="exports",
                metavar="FORMAT",
                help="One of exports, shell, json, json-list.",
            ),
        ),
    ),
)
