"""Who may do what: each command says what it needs, and what nobody grants is denied."""

from __future__ import annotations

from enum import Enum

from paas.errors import PaasError
from paas.model.caller import Caller


class Access(Enum):
    """What a command needs, from the least to the most."""

    PUBLIC = "public"
    """Nothing: it says only what everybody knows (help)."""
    VIEW = "view"
    """To see an app."""
    DEPLOY = "deploy"
    """To change what an app runs."""
    OWN = "own"
    """To give an app another name, or to end it."""
    ADMIN = "admin"
    """To change what concerns every app."""
    ROOT = "root"
    """To be root on the server."""


GRANTS: dict[str, frozenset[Access]] = {
    "root": frozenset(Access),
    # Whoever holds a registered key administers the apps, but not the machine.
    "key": frozenset(Access) - {Access.ROOT},
    # A hook speaks over the descriptor of its push, never by command.
    "hook": frozenset(),
}


class Denied(PaasError):
    """The caller may not run the command."""


def authorise(caller: Caller, access: Access, command: str) -> None:
    """Return when `caller` may run `command`. Raises `Denied`, also for unknown callers."""
    if access in GRANTS.get(caller.kind, frozenset()):
        return
    if access is Access.ROOT:
        raise Denied(
            f"`{command}` is for root on the server alone",
            resolution=f"Log in there and run: sudo paas {command}",
        )
    raise Denied(f"You may not run `{command}`")
