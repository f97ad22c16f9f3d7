"""What apps are: `apps:report` with Dokku's fields, `apps:info` as Heroku words it."""

from __future__ import annotations

from collections.abc import Mapping

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option
from paas.cli.output import columns, moment
from paas.cli.reports import report_options, show_report
from paas.cli.session import Session
from paas.deploy.lock import described
from paas.model.app import App
from paas.model.release import Release
from paas.model.role import Role

FIELDS = (
    "created-at",
    "deployed",
    "running",
    "deploy-source",
    "deploy-source-metadata",
    "branch",
    "dir",
    "locked",
    "release",
    "releases",
    "formation",
)
"""Dokku's, and below its names what only this one has."""


def report(session: Session, app: App | None, form: str, only: str | None) -> None:
    """Show what one app is, or what all are."""
    apps = session.apps() if app is None else [app]
    counts = session.store.releases.counts()
    found = {one.name: fields(session, one, counts.get(one.id, 0)) for one in apps}
    show_report(session, "app", found, form, only)


def fields(session: Session, app: App, releases: int) -> dict[str, str]:
    """Each of `FIELDS`, as text; no secrets."""
    live = session.store.releases.get(app.id, app.live) if app.live is not None else None
    source, metadata = _source(live)
    values = (
        moment(app.created_at),
        _bool(app.deployed),
        _bool(app.can_run),
        source,
        metadata,
        session.store.settings.deploy_branch(app.id) or "",
        str(session.layout.repo(app.id)),
        _bool(session.store.locks.find(app.id) is not None),
        live.version if live else "",
        str(releases),
        _formation(live.formation if live else session.store.config.formation(app.id)),
    )
    return dict(zip(FIELDS, values, strict=True))


def info(session: Session, app: App, form: str) -> None:
    """Show one app for people: where it is, whose it is, what it runs."""
    facts = _facts(session, app)
    if form == "json":
        session.output.json(facts)
        return
    session.report.result(app.name)
    rows = [(f"{key}:", value) for key, value in facts.items() if value]
    for line in columns(rows):
        session.output.line(line)


def _facts(session: Session, app: App) -> dict[str, str]:
    store = session.store
    live = store.releases.get(app.id, app.live) if app.live is not None else None
    lock = store.locks.find(app.id)
    members = store.users.of_app(app.id)
    urls = session.platform.router.urls(app)
    return {
        "Web URL": urls[0] if urls else "",
        "Owner": ", ".join(name for name, role in members.items() if role is Role.OWNER),
        "Created": moment(app.created_at),
        "Release": f"{live.version}, {moment(live.created_at)} by {live.actor}" if live else "none",
        "Dynos": _formation(live.formation) if live else "",
        "Stopped": "yes" if app.stopped else "",
        "Locked": described(lock) if lock else "",
        "Add-ons": ", ".join(link.variable for link in store.links.of_app(app.id)),
        "Config vars": str(len(store.config.keys(app.id))),
    }


def _source(live: Release | None) -> tuple[str, str]:
    """Where the live release came from: Dokku's word for it, and which one it is."""
    if live is None:
        return "", ""
    return ("git", live.commit) if live.commit else ("docker-image", live.image)


def _formation(formation: Mapping[str, int]) -> str:
    return " ".join(f"{kind}={count}" for kind, count in sorted(formation.items()))


def _bool(value: bool) -> str:  # noqa: FBT001 - a word for it
    return str(value).lower()


COMMANDS = (
    Command(
        "apps:report",
        "Describe an app, or all apps",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=report_options("app", FIELDS),
    ),
    Command(
        "apps:info",
        "Show where an app is, whose it is and what it runs",
        Access.VIEW,
        info,
        Names.AN_APP,
        options=(format_option(),),
    ),
)
