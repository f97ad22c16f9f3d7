"""A new app belongs to who made it."""

from __future__ import annotations

from paas.model.app import App
from paas.model.caller import Caller
from paas.model.role import Role
from paas.store.store import Store


def create_app(store: Store, name: str, caller: Caller, how: str = "") -> App:
    """Make an app, whose owner is the user behind `caller`; root needs no role.

    Raises `InvalidName` and `AppExists`.
    """
    with store.transaction():
        app = store.apps.create(name)
        if caller.is_key:
            store.users.give(caller.name, app.id, Role.OWNER)
        store.events.add(caller.actor, name, "created", how)
    return app
