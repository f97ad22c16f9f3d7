"""The commands of releases: what was live, and going back to it."""

from __future__ import annotations

import re

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.names import shown
from paas.model.release import Release


class InvalidVersion(PaasError):
    """Not the name of a release."""


def releases(session: Session, app: App, form: str) -> None:
    """List the releases of an app, the newest first."""
    found = session.store.releases.list(app.id)
    if form == "json":
        session.output.json([_entry(app, release) for release in found])
        return
    session.report.result(f"{app.name} releases")
    rows = [
        (
            release.version,
            release.reason,
            release.actor,
            moment(release.created_at),
            "(live)" if release.number == app.live else "",
        )
        for release in found
    ]
    for line in columns(rows):
        session.output.line(line)


def info(session: Session, app: App, version: str, form: str) -> None:
    """Show one release: what it runs, not the values of its config."""
    release = session.store.releases.get(app.id, parse_version(version))
    if form == "json":
        session.output.json(_entry(app, release))
        return
    session.report.result(f"{app.name} {release.version}")
    for line in columns(
        [(f"{key.capitalize()}:", _text(value)) for key, value in _entry(app, release).items()]
    ):
        session.output.line(line)


def rollback(session: Session, app: App, version: str | None) -> None:
    """Make an earlier release live again, without a build."""
    number = None if version is None else parse_version(version)
    session.platform.rollback(app, number, actor=session.actor, report=session.report)


def parse_version(text: str) -> int:
    """7 of `v7` or `7`. Raises `InvalidVersion`."""
    match = re.fullmatch(r"v?([1-9][0-9]{0,8})", text)
    if match is None:
        raise InvalidVersion(
            f"{shown(text)} is not a release", resolution="Releases are named like v7."
        )
    return int(match[1])


def _entry(app: App, release: Release) -> dict[str, object]:
    return {
        "version": release.version,
        "live": release.number == app.live,
        "reason": release.reason,
        "actor": release.actor,
        "created": moment(release.created_at),
        "commit": release.commit or "",
        "image": release.image,
        "formation": dict(release.formation),
        "processes": dict(release.processes),
        "config": sorted(release.config),
    }


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return ", ".join(f"{key}={_text(each)}" for key, each in value.items())
        case list():
            return ", ".join(map(str, value))
        case None:
            return "(of the image)"
        case _:
            return str(value)


COMMANDS = (
    Command(
        "releases",
        "List the releases of an app",
        Access.VIEW,
        releases,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "releases:info",
        "Show one release",
        Access.VIEW,
        info,
        Names.AN_APP,
        arguments=(one_word("version", "VERSION"),),
        options=(format_option(),),
    ),
    Command(
        "rollback",
        "Go back to an earlier release, code and config",
        Access.DEPLOY,
        rollback,
        Names.AN_APP,
        arguments=(one_word("version", "VERSION", required=False),),
        description="To the one before the live one, unless it is named. Nothing is built.",
    ),
)
