"""The commands of apps."""

from __future__ import annotations

from dataclasses import asdict

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.session import Session
from paas.deploy.creation import create_app
from paas.deploy.lock import described, lock_app, unlock_app
from paas.errors import PaasError
from paas.model.app import App
from paas.model.names import parse_app_name

MAX_REASON = 200


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


def clone(
    session: Session, app: App, new: str, *, skip_deploy: bool, ignore_existing: bool
) -> None:
    """Make an app that has what another one has been given."""
    name = parse_app_name(new)
    if ignore_existing and session.store.apps.find(name) is not None:
        session.report.warn(f"App {name} exists already: left as it is")
        return
    session.platform.clone(app, name, session.caller, deploy=not skip_deploy, report=session.report)


def lock(session: Session, app: App, reason: str) -> None:
    """Let nothing be deployed to an app."""
    lock_app(session.store, app, session.actor, parse_reason(reason))
    session.report.step(f"Deploy lock created for {app.name}")


def unlock(session: Session, app: App) -> None:
    """Let an app be deployed to again."""
    if unlock_app(session.store, app, session.actor):
        session.report.step(f"Deploy lock removed for {app.name}")
    else:
        session.report.detail(f"{app.name} has no deploy lock")


def locked(session: Session, app: App, form: str) -> int:
    """Say who locked an app and since when; 1 when nobody has."""
    found = session.store.locks.find(app.id)
    if form == "json":
        session.output.json({"locked": found is not None, **(asdict(found) if found else {})})
    else:
        session.output.line(
            f"Deploy lock exists: {described(found)}" if found else "Deploy lock does not exist"
        )
    return 0 if found else 1


def parse_reason(text: str) -> str:
    """One line for people. Raises `PaasError`."""
    if len(text) > MAX_REASON or not text.isprintable():
        raise PaasError(f"A reason is one line of at most {MAX_REASON} characters")
    return text


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
    Command(
        "apps:clone",
        "Make an app with the config, settings, storage and release of another",
        Access.DEPLOY,
        clone,
        Names.AN_APP,
        arguments=(one_word("new", "NEW-NAME"),),
        options=(
            click.Option(["--skip-deploy"], is_flag=True, help="Do not deploy it."),
            click.Option(
                ["--ignore-existing"], is_flag=True, help="Succeed if there is one of that name."
            ),
        ),
        description="Domains, certificates, links to services and the people who may use it"
        " stay with the old one; what is mounted is shared.",
    ),
    Command(
        "apps:lock",
        "Let nothing be deployed to an app",
        Access.DEPLOY,
        lock,
        Names.AN_APP,
        options=(
            click.Option(
                ["--reason"], default="", metavar="TEXT", help="Told to who wants to deploy."
            ),
        ),
        description="Pushes and commands that deploy are refused until apps:unlock. A deploy"
        " under way goes on to its end; crashed instances are started again; ps:stop works.",
    ),
    Command(
        "apps:unlock",
        "Let an app be deployed to again",
        Access.DEPLOY,
        unlock,
        Names.AN_APP,
    ),
    Command(
        "apps:locked",
        "Check if an app is locked: 0 when it is, else 1",
        Access.VIEW,
        locked,
        Names.AN_APP,
        options=(format_option(),),
    ),
)
