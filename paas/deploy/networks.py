"""Networks of apps: who is in which, and which app may open connections to which other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.naming import Naming
from paas.deploy.running import owner_of
from paas.engine.engine import Engine
from paas.engine.network.named import NetworkInUse
from paas.errors import PaasError
from paas.model.app import App
from paas.store.store import Store


class AppsInNetwork(PaasError):
    """A network that apps are in is not destroyed."""

    def __init__(self, name: str, members: Sequence[str]) -> None:
        super().__init__(
            f"The network {name} has {', '.join(members)} in it",
            resolution=f"Take them out first: paas network:set {members[0]} attach-post-deploy",
        )


class LinkToItself(PaasError):
    """An app cannot be linked to itself."""


@dataclass(frozen=True)
class Membership:
    """A network, and the apps that are in it by name."""

    name: str
    created_at: float
    apps: tuple[str, ...]


@dataclass(frozen=True)
class Networks:
    """Each change takes effect for what runs. Each method raises `PaasError`."""

    store: Store
    engine: Engine
    naming: Naming

    def create(self, name: str, *, actor: str) -> None:
        """Make a network that nobody is in."""
        self.engine.network.named.create(name)
        self.store.events.add(actor, "", "network created", name)

    def destroy(self, name: str, *, actor: str) -> None:
        """Remove a network that nobody is in."""
        try:
            self.engine.network.named.destroy(name)
        except NetworkInUse as error:
            raise AppsInNetwork(name, sorted(map(self._shown, error.members))) from error
        self.store.events.add(actor, "", "network destroyed", name)

    def list(self) -> Sequence[Membership]:
        """All networks by name."""
        return [
            Membership(each.name, each.created_at, tuple(sorted(map(self._shown, each.members))))
            for each in self.engine.network.named.list()
        ]

    def get(self, name: str) -> Membership:
        """One of them. Raises `NetworkNotFound`."""
        self.engine.network.named.get(name)
        return next(each for each in self.list() if each.name == name)

    def of(self, app: App) -> Sequence[str]:
        """The networks that an app is in."""
        return self.engine.network.named.of(owner_of(app.id))

    def aliases(self, app: App) -> Sequence[str]:
        """Further names that the app is found by."""
        aliases = self.engine.network.named.aliases()
        return [alias for alias, owner in aliases.items() if owner == owner_of(app.id)]

    def put(self, app: App, networks: Sequence[str], aliases: Sequence[str], *, actor: str) -> None:
        """Have an app in exactly these networks, found by these names too in the first."""
        self.engine.network.join(owner_of(app.id), networks, aliases)
        self.store.events.add(actor, app.name, "networks set", " ".join(networks) or "none")
        self.naming.publish()

    def link(self, app: App, other: App, *, actor: str) -> None:
        """Let the instances of an app open connections to those of another."""
        if app.id == other.id:
            raise LinkToItself(
                f"{app.name} cannot be linked to itself",
                resolution="Instances of one app reach each other in a network:"
                f" paas network:set {app.name} attach-post-deploy NETWORK",
            )
        self.engine.network.allow(owner_of(app.id), owner_of(other.id))
        self.store.events.add(actor, app.name, "linked to app", other.name)
        self.naming.publish()

    def unlink(self, app: App, other: App, *, actor: str) -> None:
        """Take that back; connections that exist go on."""
        self.engine.network.forbid(owner_of(app.id), owner_of(other.id))
        self.store.events.add(actor, app.name, "unlinked from app", other.name)
        self.naming.publish()

    def linked(self, app: App) -> Sequence[str]:
        """The apps that an app may open connections to, by a link."""
        targets = self.engine.network.links.targets_of(owner_of(app.id))
        if not targets:
            return []
        return [each.name for each in self.store.apps.list() if owner_of(each.id) in targets]

    def _shown(self, owner: str) -> str:
        kind, _, number = owner.partition(":")
        app = self.store.apps.by_id(int(number)) if kind == "app" and number.isdecimal() else None
        return app.name if app else owner
