"""The commands of building: how an app's image is made."""

from __future__ import annotations

import json
from collections.abc import Callable

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.build import builder_options
from paas.model.app import App
from paas.model.builder import (
    BUILD_ARGS,
    BUILD_CONFIG,
    BUILD_DIR,
    DOCKERFILE_PATH,
    KINDS,
    SELECTED,
    BuilderOptions,
    argument,
)
from paas.model.names import shown
from paas.model.settings import BUILD_MEMORY, BUILD_SECONDS, Setting

_ONE_VALUE: tuple[Setting[str] | Setting[int] | Setting[tuple[str, ...]], ...] = (
    SELECTED,
    BUILD_DIR,
    DOCKERFILE_PATH,
    BUILD_CONFIG,
    BUILD_MEMORY,
    BUILD_SECONDS,
)
ARGUMENT = "build-arg"


def change(session: Session, app: App, key: str, value: str | None) -> None:
    """Change how an app is built, from its next build on; without a value as at first."""
    if key == ARGUMENT:
        _change_argument(session, app, value)
        return
    setting = next((each for each in _ONE_VALUE if each.name == key), None)
    if setting is None:
        names = sorted([ARGUMENT, *(each.name for each in _ONE_VALUE)])
        raise Misused(f"{shown(key)} is not one of {', '.join(names)}")
    if value is not None:
        setting.parse(value)
    session.store.settings.set(app.id, key, value)
    done = f"Setting {key} to {value}" if value else f"Unsetting {key}"
    session.report.step(f"{done} for {app.name}")


def report(session: Session, app: App | None, form: str) -> None:
    """Show how one app is built, or all."""
    apps = session.store.apps.list() if app is None else [app]
    found = {each.name: builder_options(session.store.settings, each.id) for each in apps}
    if form == "json":
        session.output.json({name: _fields(options) for name, options in found.items()})
        return
    for name, options in found.items():
        session.report.result(f"{name} builder information")
        for line in columns([(f"{key}:", text) for key, text in _rows(options)]):
            session.output.line(f"       {line}")


def _change_argument(session: Session, app: App, value: str | None) -> None:
    """Add one, or with a name alone remove it; without anything remove all."""
    settings = session.store.settings
    with session.store.transaction():
        before = settings.value(BUILD_ARGS, app.id)
        values = dict(before) if value else {}
        name, text = argument(value) if value else ("", None)
        values.pop(name, None)
        if text is not None:
            values[name] = text
        settings.set(app.id, BUILD_ARGS.name, json.dumps(values) if values else None)
    done = f"Setting {ARGUMENT} {name}" if text is not None else f"Unsetting {ARGUMENT} {name}"
    session.report.step(f"{done.rstrip()} for {app.name}")


def _rows(options: BuilderOptions) -> list[tuple[str, str]]:
    show: Callable[[object], str] = lambda value: str(value) if value else "none"  # noqa: E731
    return [
        (SELECTED.name, options.selected or f"detected ({', '.join(KINDS)})"),
        (BUILD_DIR.name, options.directory or "."),
        (DOCKERFILE_PATH.name, options.dockerfile),
        # A value may well be a token.
        (ARGUMENT, show(", ".join(options.args))),
        (BUILD_CONFIG.name, show(", ".join(options.config))),
        (BUILD_MEMORY.name, f"{options.memory_bytes >> 20} MiB"),
        (BUILD_SECONDS.name, str(options.seconds)),
    ]


def _fields(options: BuilderOptions) -> dict[str, object]:
    return {
        SELECTED.name: options.selected,
        BUILD_DIR.name: options.directory,
        DOCKERFILE_PATH.name: options.dockerfile,
        ARGUMENT: sorted(options.args),
        BUILD_CONFIG.name: options.config,
        BUILD_MEMORY.name: options.memory_bytes,
        BUILD_SECONDS.name: options.seconds,
    }


COMMANDS = (
    Command(
        "builder:set",
        "Change how an app is built",
        Access.DEPLOY,
        change,
        Names.AN_APP,
        arguments=(one_word("key", "KEY"), one_word("value", "VALUE", required=False)),
        description="KEY is selected, build-dir, dockerfile-path, build-arg (NAME=VALUE),"
        " build-config (names of config vars, or all), build-memory or build-seconds.",
    ),
    Command(
        "builder:report",
        "Show how an app is built, or all",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
)
