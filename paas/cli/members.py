"""The commands of access: who may do what to which app."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.names import parse_key_name
from paas.model.role import ADMIN, Role, parse_role
from paas.store.users import User


class LastAdmin(PaasError):
    """Root on the server could still let somebody in, and nobody else."""


def add(session: Session, app: App | None, user: str, role: str | None) -> None:
    """Give somebody a role in an app, or make them an admin."""
    name, store = parse_key_name(user), session.store
    if app is None:
        if role not in {None, ADMIN}:
            raise Misused(f"The only role for everything is {ADMIN}")
        with store.transaction():
            store.users.set_admin(name, admin=True)
            store.events.add(session.actor, "", "access:add", f"{name} {ADMIN}")
        session.report.step(f"{name} is an {ADMIN}")
        return
    given = parse_role(role or Role.DEPLOYER)
    with store.transaction():
        store.users.give(name, app.id, given)
        store.events.add(session.actor, app.name, "access:add", f"{name} {given}")
    session.report.step(f"{name} is {given} of {app.name}")


def remove(session: Session, app: App | None, user: str) -> None:
    """Take somebody's role in an app, or that of an admin."""
    name, store = parse_key_name(user), session.store
    with store.transaction():
        store.users.get(name)
        if app is None:
            _check_another_admin(session, name)
            store.users.set_admin(name, admin=False)
        elif not store.users.take(name, app.id):
            raise Misused(f"{name} has no role in {app.name}")
        store.events.add(session.actor, app.name if app else "", "access:remove", name)
    session.report.step(f"{name} is no longer {f'in {app.name}' if app else f'an {ADMIN}'}")


def _check_another_admin(session: Session, name: str) -> None:
    admins = {user.name for user in session.store.users.list() if user.admin}
    if admins == {name} and not session.caller.is_root:
        raise LastAdmin(
            f"{name} is the only {ADMIN}",
            resolution=f"Make another one first: access:add --global USER {ADMIN}",
        )


def list_members(session: Session, app: App | None, form: str) -> None:
    """Print who has which role in an app; with --global all users with theirs."""
    found = _of_all(session) if app is None else _of_app(session, app)
    if form == "json":
        session.output.json(found)
        return
    session.report.result("users" if app is None else f"{app.name} access")
    for line in columns([(user, ", ".join(roles)) for user, roles in found.items()]):
        session.output.line(line)


def _of_app(session: Session, app: App) -> dict[str, list[str]]:
    users = session.store.users
    admins = {user.name: [ADMIN] for user in users.list() if user.admin}
    return dict(sorted((admins | {u: [r] for u, r in users.of_app(app.id).items()}).items()))


def _of_all(session: Session) -> dict[str, list[str]]:
    return {user.name: _roles(session, user) for user in session.store.users.list()}


def _roles(session: Session, user: User) -> list[str]:
    names = {app.id: app.name for app in session.store.apps.list()}
    own = session.store.users.apps_of(user.name)
    return [*([ADMIN] if user.admin else []), *(f"{names[app]}={own[app]}" for app in own)]


COMMANDS = (
    Command(
        "access:add",
        "Give somebody a role in an app, or make them an admin",
        Access.OWN,
        add,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("user", "USER"), one_word("role", "ROLE", required=False)),
        description=f"ROLE is one of {', '.join(Role)}; {Role.DEPLOYER} without."
        f" With --global it is {ADMIN}, of everything.",
    ),
    Command(
        "access:remove",
        "Take somebody's role in an app",
        Access.OWN,
        remove,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("user", "USER"),),
    ),
    Command(
        "access:list",
        "List who may do what",
        Access.VIEW,
        list_members,
        Names.APP_OR_GLOBAL,
        options=(format_option(),),
    ),
)
