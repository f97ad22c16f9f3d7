"""Containers that were begun by somebody who is gone, and that nobody will go on with."""

from __future__ import annotations

from paas.deploy.running import DETACHED
from paas.deploy.services_route import OWNER as SERVICES
from paas.engine.container import BY_HAND
from paas.engine.engine import Engine
from paas.store.store import Store


def reap(store: Store, engine: Engine, owner: str = "") -> None:
    """Remove containers, of an owner or all, that no row names and whose maker is gone.

    What has a restart policy or was made by hand is meant to stay until somebody removes
    it; what is detached until it has ended.
    """
    for container in engine.containers.list():
        if container.owner.startswith(SERVICES) or owner not in ("", container.owner):
            continue
        # In this order: a maker that commits and ends in between has left a row.
        if container.restarts or not container.keeper.wait(0):
            continue
        if not container.labels.keys().isdisjoint((BY_HAND, DETACHED)):
            continue
        if store.instances.by_container(container.id) is None:
            engine.containers.remove(container.id)
