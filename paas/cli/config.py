"""The commands of config: the environment of an app."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.env_formats import EXPORTS, IMPORTS, bundled, exported, imported
from paas.cli.options import format_option, no_restart_option, one_word, words
from paas.cli.output import columns, moment
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

MOST_IMPORTED_BYTES = 16 * MAX_VALUE_BYTES
LONGEST_SHOWN = 120
"""Characters of a value that `config:set` repeats."""


def set_vars(
    session: Session, app: App | None, pairs: tuple[str, ...], *, no_restart: bool, encoded: bool
) -> None:
    """Set variables, then restart the app."""
    values = dict(_pair(session, pair, encoded=encoded) for pair in pairs)
    session.report.step("Setting config vars")
    _repeat(session, values)
    _warn_of_size(session, values)
    _apply(session, app, values, (), no_restart=no_restart)


def unset(session: Session, app: App | None, keys: tuple[str, ...], *, no_restart: bool) -> None:
    """Unset variables, then restart the app."""
    for key in keys:
        session.report.step(f"Unsetting {parse_config_key(key)}")
    _apply(session, app, {}, keys, no_restart=no_restart)


def clear(session: Session, app: App | None, *, no_restart: bool) -> None:
    """Unset all variables, then restart the app."""
    session.report.step("Unsetting all config vars")
    _apply(session, app, {}, session.store.config.keys(_scope(app)), no_restart=no_restart)


def get(session: Session, app: App | None, key: str) -> int:
    """Print a bare value; 1 when it is not set."""
    value = session.store.config.get(_scope(app)).get(key)
    if value is None:
        return 1
    session.output.line(value.reveal())
    return 0


def show(session: Session, app: App | None, form: str, *, merged: bool) -> None:
    """Print all variables, aligned."""
    values = _values(session, app, merged=merged)
    if form == "json":
        session.output.json(values)
        return
    session.report.result(f"{_name(app)} env vars")
    for line in columns([(f"{key}:", value) for key, value in values.items()]):
        session.output.line(line)


def keys(session: Session, app: App | None, form: str, *, merged: bool) -> None:
    """Print the names of all variables."""
    own = session.store.config.keys(_scope(app))
    shared = session.store.config.keys(None) if merged else []
    session.output.names(sorted({*own, *shared}), form)


def export(session: Session, app: App | None, form: str, *, merged: bool) -> None:
    """Print all variables for a shell or a program to read."""
    session.output.data(exported(_values(session, app, merged=merged), form).encode())


def bundle(session: Session, app: App | None, *, merged: bool) -> None:
    """Write a tar archive of one file for each variable."""
    session.output.data(bundled(_values(session, app, merged=merged)))


def take(
    session: Session,
    app: App | None,
    file: str | None,
    form: str | None,
    *,
    replace: bool,
    no_restart: bool,
) -> None:
    """Set the variables that standard input has, then restart the app."""
    if file not in (None, "-"):
        raise Misused(
            "config:import reads standard input",
            resolution="The file is on your side: paas config:import APP < FILE",
        )
    text = _decode(session.read_input(MOST_IMPORTED_BYTES))
    found = imported(text, form)
    values = {parse_config_key(key): parse_value(key, value) for key, value in found.items()}
    left = set(session.store.config.keys(_scope(app))) - values.keys() if replace else set()
    session.report.step("Setting config vars")
    for key in values:
        session.report.detail(key)
    for key in sorted(left):
        session.report.step(f"Unsetting {key}")
    _warn_of_size(session, values)
    _apply(session, app, values, sorted(left), no_restart=no_restart)


def history(session: Session, app: App | None, count: int, form: str) -> None:
    """Show who set and unset which variable, the newest first; never the values."""
    told = session.store.config.history(_scope(app), count)
    if form == "json":
        entries = [
            {"at": moment(one.at), "actor": one.actor, "what": one.what, "key": one.key}
            for one in told
        ]
        session.output.json(entries)
        return
    session.report.result(f"{_name(app)} config history")
    for line in columns([(moment(one.at), one.actor, one.what, one.key) for one in told]):
        session.output.line(line)


def _scope(app: App | None) -> int | None:
    return None if app is None else app.id


def _name(app: App | None) -> str:
    return "global" if app is None else app.name


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidValue("Standard input is not UTF-8 text") from None


def _pair(session: Session, pair: str, *, encoded: bool) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise Misused(
            f"{shown(pair)} is not of the form KEY=VALUE",
            resolution="Quote a value with spaces: KEY='a value', and all once more for ssh:"
            " ssh … \"config:set app KEY='a value'\"; KEY=- reads it from stdin.",
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


def _values(session: Session, app: App | None, *, merged: bool) -> dict[str, str]:
    config = session.store.config
    if app is None or not merged:
        return revealed(config.get(_scope(app)))
    return revealed(config.effective(app.id))


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
    app: App | None,
    values: Mapping[str, str],
    unset_keys: Iterable[str],
    *,
    no_restart: bool,
) -> None:
    if app is None:
        _apply_globally(session, values, unset_keys)
        return
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


def _apply_globally(session: Session, values: Mapping[str, str], unset_keys: Iterable[str]) -> None:
    with session.store.transaction():
        gone = list(unset_keys)
        session.store.config.unset(None, gone, session.actor)
        session.store.config.set(None, values, session.actor)
        done = "Set" if values else "Unset"
        session.note(None, "config changed", f"{done} {', '.join(sorted({*gone, *values}))}")
    session.report.detail("Each app takes it up with its next deploy or ps:restart")


def merged_option() -> click.Option:
    """`--merged`: also what every app has."""
    return click.Option(
        ["--merged"], is_flag=True, help="With the variables that every app has (--global)."
    )


def format_of(formats: tuple[str, ...], *, default: str | None) -> click.Option:
    """`--format`, given to the function as `form`."""
    return click.Option(
        ["--format", "form"],
        type=click.Choice(formats),
        default=default,
        metavar="FORMAT",
        help=f"One of {', '.join(formats)}.",
    )


COMMANDS = (
    Command(
        "config:set",
        "Set one or more config vars",
        Access.DEPLOY,
        set_vars,
        Names.APP_OR_GLOBAL,
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
        Access.DEPLOY,
        get,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "KEY"),),
        description="Ends with 1 when it is not set.",
    ),
    Command(
        "config:unset",
        "Unset one or more config vars",
        Access.DEPLOY,
        unset,
        Names.APP_OR_GLOBAL,
        arguments=(words("keys", "KEY"),),
        options=(no_restart_option(),),
    ),
    Command(
        "config:clear",
        "Unset all config vars",
        Access.DEPLOY,
        clear,
        Names.APP_OR_GLOBAL,
        options=(no_restart_option(),),
    ),
    Command(
        "config:show",
        "Show the config vars of an app",
        Access.DEPLOY,
        show,
        Names.APP_OR_GLOBAL,
        options=(format_option(), merged_option()),
    ),
    Command(
        "config:keys",
        "Show the names of config vars",
        Access.VIEW,
        keys,
        Names.APP_OR_GLOBAL,
        options=(merged_option(), format_option()),
    ),
    Command(
        "config:export",
        "Export config vars for a shell or a program",
        Access.DEPLOY,
        export,
        Names.APP_OR_GLOBAL,
        options=(format_of(EXPORTS, default="exports"), merged_option()),
    ),
    Command(
        "config:import",
        "Set the config vars of a .env or JSON file",
        Access.DEPLOY,
        take,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("file", "-", required=False),),
        options=(
            format_of(IMPORTS, default=None),
            click.Option(["--replace"], is_flag=True, help="Unset what the file does not have."),
            no_restart_option(),
        ),
        description=(
            "Reads standard input: paas config:import APP < FILE. All variables are set in one"
            " release, or none. Without --format JSON is recognised by its first character."
        ),
    ),
    Command(
        "config:bundle",
        "Write a tar archive of one file for each config var",
        Access.DEPLOY,
        bundle,
        Names.APP_OR_GLOBAL,
        options=(merged_option(),),
    ),
    Command(
        "config:history",
        "Show who changed which config var and when",
        Access.VIEW,
        history,
        Names.APP_OR_GLOBAL,
        options=(
            click.Option(
                ["-n", "--num", "count"],
                type=click.IntRange(1, 10_000),
                default=50,
                metavar="COUNT",
                help="How many changes; 50 unless given.",
            ),
            format_option(),
        ),
        description="Values are not kept; each release has its own: paas releases:diff.",
    ),
)
