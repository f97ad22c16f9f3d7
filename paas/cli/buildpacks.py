"""The commands of buildpacks: which ones build an app, whatever its repository names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from paas.buildpack.source import BUNDLED, parse_source
from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.buildpacks import BUILDPACKS, dump

Change = Callable[[list[str]], None]


class NotThere(PaasError):
    """The app has no such buildpack, or has it already."""


def add(session: Session, app: App, buildpack: str, index: int | None) -> None:
    """Add one, at the end or at a place."""
    parse_source(buildpack)

    def change(found: list[str]) -> None:
        _refuse_twice(buildpack, found)
        found.insert(len(found) if index is None else index - 1, buildpack)

    _change(session, app, change)


def set_one(session: Session, app: App, buildpack: str, index: int | None) -> None:
    """Put one at a place, the first if it is not said."""
    parse_source(buildpack)

    def change(found: list[str]) -> None:
        at = (index or 1) - 1
        _refuse_twice(buildpack, [*found[:at], *found[at + 1 :]])
        found[at : at + 1] = [buildpack]

    _change(session, app, change)


def remove(session: Session, app: App, buildpack: str | None, index: int | None) -> None:
    """Remove one, by its name or by its place."""
    if (buildpack is None) == (index is None):
        raise Misused("Name a buildpack, or its place by --index, and not both")

    def change(found: list[str]) -> None:
        at = [n for n, one in enumerate(found, 1) if one == buildpack or n == index]
        if not at:
            raise NotThere(
                f"{app.name} has no buildpack {buildpack or index}",
                _numbered(found),
                f"See paas buildpacks:list {app.name}.",
            )
        del found[at[0] - 1]

    _change(session, app, change)


def clear(session: Session, app: App) -> None:
    """Remove all: the repository says again what builds it."""
    _change(session, app, lambda found: found.clear())


def show(session: Session, app: App, form: str) -> None:
    """List them, in their order."""
    found = session.store.settings.value(BUILDPACKS, app.id)
    if form == "json":
        session.output.json(list(found))
        return
    session.report.result(f"{app.name} buildpack urls")
    for line in _numbered(found) or ["(none: .buildpacks, app.json or what is in the repository)"]:
        session.output.line(f"       {line}")


def bundled(session: Session, form: str) -> None:
    """List the ones that come with paas, in the order in which they are asked."""
    if form == "json":
        session.output.json(dict(BUNDLED))
        return
    for name, files in BUNDLED.items():
        session.output.line(f"{name:10}{files}")


def _change(session: Session, app: App, change: Change) -> None:
    settings = session.store.settings
    with session.store.transaction():
        found: list[str] = [*settings.value(BUILDPACKS, app.id)]
        change(found)
        settings.set(app.id, BUILDPACKS.name, dump(found))
        session.note(app, "buildpacks changed", " ".join(str(parse_source(one)) for one in found))
    session.report.step(f"Buildpacks of {app.name}, from its next build on:")
    for line in _numbered(found) or ["(none: what its repository says)"]:
        session.report.detail(line)


def _refuse_twice(buildpack: str, found: Sequence[str]) -> None:
    if any(parse_source(one) == parse_source(buildpack) for one in found):
        raise NotThere(f"{buildpack} is among the buildpacks already", _numbered(found))


def _numbered(found: Sequence[str]) -> list[str]:
    return [f"{number}. {parse_source(one)}" for number, one in enumerate(found, start=1)]


def _index_option() -> click.Option:
    return click.Option(
        ["--index", "index"],
        type=click.IntRange(1, 100),
        metavar="N",
        help="The place in the list, from 1.",
    )


COMMANDS = (
    Command(
        "buildpacks:add",
        "Add a buildpack to those of an app",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(one_word("buildpack", "BUILDPACK"),),
        options=(_index_option(),),
        description="BUILDPACK is the name of a bundled one (buildpacks:bundled) or URL[#ref].",
    ),
    Command(
        "buildpacks:set",
        "Set the buildpack of an app",
        Access.DEPLOY,
        set_one,
        Names.AN_APP,
        arguments=(one_word("buildpack", "BUILDPACK"),),
        options=(_index_option(),),
        description="The first, or the one that --index names; others stay.",
    ),
    Command(
        "buildpacks:list",
        "List the buildpacks of an app",
        Access.VIEW,
        show,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "buildpacks:remove",
        "Remove a buildpack from those of an app",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(one_word("buildpack", "BUILDPACK", required=False),),
        options=(_index_option(),),
    ),
    Command(
        "buildpacks:clear",
        "Let the repository say again what builds it",
        Access.DEPLOY,
        clear,
        Names.AN_APP,
    ),
    Command(
        "buildpacks:bundled",
        "List the buildpacks that come with paas",
        Access.VIEW,
        bundled,
        options=(format_option(),),
    ),
)
