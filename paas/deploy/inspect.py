"""What the engine knows of an app's containers, for people: no value of its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paas.deploy.running import owner_of
from paas.engine.container import Container
from paas.engine.engine import Engine
from paas.model.app import App
from paas.model.instance import Instance
from paas.store.store import Store


def inspected(engine: Engine, store: Store, app: App) -> Sequence[Mapping[str, object]]:
    """Each container of the app, one-offs too, in the order of their ids."""
    instances = {one.container: one for one in store.instances.list(app.id)}
    return [
        _entry(engine, container, instances.get(container.id))
        for container in engine.containers.list()
        if container.owner == owner_of(app.id)
    ]


def _entry(engine: Engine, container: Container, instance: Instance | None) -> dict[str, object]:
    status = engine.containers.status(container.id)
    return {
        "id": container.id,
        "name": container.labels.get("paas.dyno", ""),
        "image": container.image,
        "hostname": container.hostname,
        "state": status.state.value,
        "pid": container.pid,
        "exit_code": status.exit_code,
        "oom_killed": status.oom_killed,
        "address": str(container.address) if container.address else None,
        "created_at": container.created_at,
        "started_at": status.started_at,
        "labels": dict(container.labels),
        "release": instance.release if instance else None,
        "ready": instance.ready if instance else None,
        "restarts": instance.restarts if instance else None,
    }
