"""Who may do what: each command says what it needs, and what nobody grants is denied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from paas.errors import PaasError
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.role import Role
from paas.store.store import Store


class Access(Enum):
    """What a command needs, from the least to the most."""

    PUBLIC = "public"
    """Nothing: it says only what everybody knows (help)."""
    VIEW = "view"
    """To see an app. Without an app: what the caller may see, and nothing of the others."""
    DEPLOY = "deploy"
    """To change what an app runs, and to know its secrets."""
    OWN = "own"
    """To give an app another name, to end it, and to let others in."""
    ADMIN = "admin"
    """To change what concerns every app."""
    ROOT = "root"
    """To be root on the server."""


GRANTS: Mapping[Role, frozenset[Access]] = {
    Role.VIEWER: frozenset({Access.PUBLIC, Access.VIEW}),
    Role.DEPLOYER: frozenset({Access.PUBLIC, Access.VIEW, Access.DEPLOY}),
    Role.OWNER: frozenset({Access.PUBLIC, Access.VIEW, Access.DEPLOY, Access.OWN}),
}

ANYBODY = frozenset({Access.PUBLIC, Access.VIEW})
"""What every user may without an app: see their own."""


class Denied(PaasError):
    """The caller may not run the command."""


@dataclass(frozen=True)
class Permissions:
    """What one caller may. Made by `permissions_of`; nothing by default."""

    everywhere: frozenset[Access] = frozenset()
    """For every app, and for the server."""
    user: str | None = None
    roles: Mapping[int, Role] | None = None
    """By the id of the app; None for who has no part in this."""

    def may(self, access: Access, app: App | None = None) -> bool:
        """Whether a command that needs `access` may run, for `app` if it is about one."""
        if access in self.everywhere:
            return True
        if self.roles is None or access in {Access.ADMIN, Access.ROOT}:
            return False
        if app is None:
            return access in ANYBODY
        role = self.roles.get(app.id)
        return role is not None and access in GRANTS[role]

    def may_create(self) -> bool:
        """Whether the caller may make an app, and is then its owner."""
        return Access.DEPLOY in self.everywhere or self.roles is not None


def permissions_of(caller: Caller, store: Store) -> Permissions:
    """What a caller may: root everything, a hook nothing, a key what its user may."""
    if caller.kind == "root":
        return Permissions(frozenset(Access))
    if caller.kind != "key":
        return Permissions()
    key = store.keys.find(caller.name)
    user = store.users.find(key.user) if key is not None else None
    if user is None:
        return Permissions()
    if user.admin:
        return Permissions(frozenset(Access) - {Access.ROOT}, user.name)
    return Permissions(user=user.name, roles=store.users.apps_of(user.name))


def authorise(
    permissions: Permissions, access: Access, command: str, app: App | None = None
) -> None:
    """Return when the command may run. Raises `Denied`, also for unknown callers."""
    if permissions.may(access, app):
        return
    if access is Access.ROOT:
        raise Denied(
            f"`{command}` is for root on the server alone",
            resolution=f"Log in there and run: sudo paas {command}",
        )
    raise denied(permissions, command, app)


def denied(permissions: Permissions, command: str, app: App | None) -> Denied:
    """What to tell somebody who may not."""
    where = f" on {app.name}" if app is not None else ""
    whom = permissions.user or "USER"
    return Denied(
        f"You may not run `{command}`{where}",
        resolution=f"Its owner can let you: access:add {app.name} {whom} deployer"
        if app is not None
        else "",
    )
