"""Can this version read what an older one wrote? Tried on copies, before anything changes."""

from __future__ import annotations

from paas.engine.engine import Engine
from paas.model.layout import Layout
from paas.store.store import Store


def rehearse(layout: Layout) -> None:
    """Bring the databases at `layout` up to date and read what an app is started from.

    Raises `PaasError` for what a newer version wrote, or what cannot be read.
    """
    store, engine = Store(layout), Engine(layout)
    for app in store.apps.list():
        store.config.get(app.id)
        if app.live is not None:
            store.releases.get(app.id, app.live)
    store.instances.list()
    store.keys.list()
    engine.images.list()
    engine.layers.list()
    store.close()
    engine.database.close()
