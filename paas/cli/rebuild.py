"""ps:rebuild: the live commit is built again, of one app or of all that come from a commit."""

from __future__ import annotations

import click

from paas.cli.access import Access, authorise
from paas.cli.command import Command, Names
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App


def rebuild(session: Session, app: App | None, *, every: bool) -> int:
    """Build the live commit again and deploy it."""
    if every:
        return _all(session)
    if app is None:
        raise Misused("Please specify an app to run the command on, or --all")
    authorise(session.permissions, Access.DEPLOY, "ps:rebuild", app)
    _rebuild(session, app)
    return 0


def _rebuild(session: Session, app: App) -> None:
    session.report.step(f"Rebuilding {app.name}")
    number = session.platform.rebuild(app, actor=session.actor, report=session.report)
    session.report.result(f"Released v{number}")


def _all(session: Session) -> int:
    """One after another; one that cannot be built keeps its release, and keeps none back."""
    failed: list[str] = []
    for app in session.store.apps.list():
        if not session.permissions.may(Access.DEPLOY, app) or app.live is None:
            continue
        if session.store.releases.get(app.id, app.live).commit is None:
            session.report.detail(f"{app.name} is no commit's: it stays as it is")
            continue
        try:
            _rebuild(session, app)
        except PaasError as error:
            failed.append(app.name)
            session.report.warn(f"{app.name}: {error.brief}")
    if failed:
        session.report.warn(f"Not rebuilt: {', '.join(failed)}")
    return 1 if failed else 0


COMMANDS = (
    Command(
        "ps:rebuild",
        "Build the live commit again and deploy it",
        # Of all apps those are built that the caller may deploy, perhaps none.
        Access.VIEW,
        rebuild,
        Names.MAYBE_AN_APP,
        options=(
            click.Option(["--all", "every"], is_flag=True, help="Every app that one may deploy."),
        ),
        description="After stack:update apps of buildpacks only get the new run image.",
    ),
)
