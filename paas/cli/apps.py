"""The commands of apps."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.session import Session
from paas.deploy.creation import create_app
from paas.model.app import App
from paas.model.names import parse_app_name


def create(session: Session, app: str) -> None:
    """Make an app that nothing was deployed to yet."""
    create_app(session.store, app, session.caller)
    session.report.step(f"Creating {app}...")


def list_apps(session: Session, form: str) -> None:
    """Print the names of all apps."""
    names = [app.name for app in session.apps()]
    if form == "json":
        session.output.json(names)
        return
    session.report.result("My Apps")
    for name in names:
        session.output.line(name)


def exists(session: Session, app: App) -> None:
    """End with 0 when the app exists, with 20 when it does not."""


def destroy(session: Session, app: App) -> None:
    """End an app, after its name was typed."""
    session.confirm(app.name, f"This command will destroy {app.name} (including all add-ons).")
    session.report.step(f"Destroying {app.name} (including all add-ons)")
    session.platform.destroy(app, actor=session.actor, report=session.report)


def rename(session: Session, app: App, new: str) -> None:
    """Give an app another name."""
    name = parse_app_name(new)
    session.report.step(f"Renaming {app.name} to {name}...")
    session.platform.rename(app, name, actor=session.actor, report=session.report)


COMMANDS = (
    Command("apps:create", "Create a new app", Access.DEPLOY, create, Names.A_NAME),
    Command("apps:list", "List your apps", Access.VIEW, list_apps, options=(format_option(),)),
    Command("apps:exists", "Check if an app exists", Access.VIEW, exists, Names.AN_APP),
    Command(
        "apps:destroy",
        "Permanently destroy an app",
        Access.OWN,
        destroy,
        Names.AN_APP,
        description="Asks for the app's name on a terminal; --force does not ask.",
    ),
    Command(
        "apps:rename",
        "Rename an app",
        Access.OWN,
        rename,
        Names.AN_APP,
        arguments=(one_word("new", "NEW-NAME"),),
    ),
)
