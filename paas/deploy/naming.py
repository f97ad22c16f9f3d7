"""The names under which members of networks are found, for the resolver.

`shop` and `shop.web` lead to the app's stable address, which never changes: any port of it
to $PORT of a live instance. `shop.worker` leads to each instance of another process type,
`shop.web.1` to one, there with the ports that it listens on. All end in `.internal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from paas.deploy.draft import WEB
from paas.deploy.running import owner_of
from paas.engine.engine import Engine
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.instance import Instance
from paas.store.store import Store

PART = "apps"
"""The resolver's file of apps."""

Addresses = dict[str, Sequence[IPv4Address]]


class Naming:
    """Writes names from the database; every write can be repeated."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def publish(self) -> None:
        """Let the resolver answer for every app that is in a network or linked, and no other."""
        network = self._engine.network
        with FileLock(self._engine.layout.locks / "names"):
            found = network.reachable_owners()
            names: Addresses = {}
            if found:
                for app in self._store.apps.list():
                    if owner_of(app.id) in found:
                        names |= self._of(app)
                names |= self._aliases(names)
            network.resolver.publish(names, PART)

    def _of(self, app: App) -> Addresses:
        by_type: dict[str, list[Instance]] = {}
        for one in self._store.instances.list(app.id):
            if one.state.can_serve:
                by_type.setdefault(one.process_type, []).append(one)
        names: Addresses = {}
        for process_type, instances in by_type.items():
            kind = f"{app.name}.{process_type.lower()}"
            names[kind] = [IPv4Address(one.address) for one in instances]
            names |= {f"{kind}.{one.index}": [IPv4Address(one.address)] for one in instances}
        key = f"{owner_of(app.id)}/{WEB}"
        # Never made here: the app may have been destroyed since it was listed.
        if key in self._engine.network.services_of(key):
            stable = self._engine.network.service(key).vip
            names |= {app.name: [stable], f"{app.name}.{WEB}": [stable]}
        return names

    def _aliases(self, names: Addresses) -> Addresses:
        """What aliases lead to; an app's own name is never another's alias."""
        by_owner = {owner_of(app.id): app.name for app in self._store.apps.list()}
        return {
            alias: names[by_owner[owner]]
            for alias, owner in self._engine.network.named.aliases().items()
            if owner in by_owner and by_owner[owner] in names and alias not in names
        }
