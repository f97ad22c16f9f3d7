"""The commands of releases: what was live, and going back to it."""

from __future__ import annotations

import re
from dataclasses import asdict

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.names import shown
from paas.model.release import Release
from paas.model.settings import KEEP_RELEASES


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


def diff(session: Session, app: App, old: str, new: str | None, form: str) -> None:
    """Show what differs between two releases; of config vars the names alone."""
    live = f"v{app.live}" if app.live is not None else "v0"
    before, after = (
        session.store.releases.get(app.id, parse_version(text)) for text in (old, new or live)
    )
    changes = differences(before, after)
    if form == "json":
        session.output.json(
            [{"what": what, "before": was, "after": now} for what, was, now in changes]
        )
        return
    session.report.result(f"{app.name} {before.version} and {after.version}")
    for line in columns([(f"{what}:", was or "-", "->", now or "-") for what, was, now in changes]):
        session.output.line(line)


def retain(session: Session, app: App | None, count: str | None) -> None:
    """Show or set how many releases are kept to roll back to."""
    settings, scope = session.store.settings, None if app is None else app.id
    if count is None:
        session.output.line(str(settings.value(KEEP_RELEASES, scope)))
        return
    kept = KEEP_RELEASES.parse(count)
    with session.store.transaction():
        session.keep(app, KEEP_RELEASES.name, count, "releases:retain", count)
        if app is not None:
            session.store.releases.keep(app.id, kept)
    whose = "every app" if app is None else app.name
    session.report.step(f"Keeping {kept} releases of {whose}; images nobody needs are freed")


def differences(before: Release, after: Release) -> list[tuple[str, str, str]]:
    """What was and what is, by what it is about. Config values are not told, only changes."""
    found = [
        (what, was, now)
        for what, was, now in (
            ("commit", before.commit or "", after.commit or ""),
            ("image", before.image, after.image),
        )
        if was != now
    ]
    for key in sorted(before.config.keys() | after.config.keys()):
        if before.config.get(key) != after.config.get(key):
            both = key in before.config and key in after.config
            was, now = ("set", "changed") if both else ("", "set")
            found.append((f"config {key}", *((was, now) if key in after.config else ("set", ""))))
    for what, was_all, now_all in (
        ("process", before.processes, after.processes),
        ("formation", before.formation, after.formation),
        ("limits", _limits(before), _limits(after)),
        ("checks", _checks(before), _checks(after)),
        ("cron", _cron(before), _cron(after)),
    ):
        for kind in sorted(was_all.keys() | now_all.keys()):
            pair = [_text(each[kind]) if kind in each else "" for each in (was_all, now_all)]
            if pair[0] != pair[1]:
                found.append((f"{what} {kind}".rstrip(), pair[0], pair[1]))
    return found


def _limits(release: Release) -> dict[str, object]:
    return {kind: asdict(limits) for kind, limits in release.limits.items() if kind}


def _cron(release: Release) -> dict[str, object]:
    return {task.id: f"{task.schedule} {task.command}" for task in release.cron}


def _checks(release: Release) -> dict[str, object]:
    return {kind: str(len(checks)) for kind, checks in release.health.items()}


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
        "limits": _limits(release),
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
        "releases:diff",
        "Show what differs between two releases",
        Access.VIEW,
        diff,
        Names.AN_APP,
        arguments=(one_word("old", "VERSION"), one_word("new", "VERSION", required=False)),
        options=(format_option(),),
        description="With the live one, unless another is named. Values of config are not shown.",
    ),
    Command(
        "releases:retain",
        "Show or set how many releases are kept",
        Access.DEPLOY,
        retain,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("count", "COUNT", required=False),),
        description="The live one is kept always. Images that no release needs are freed.",
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
