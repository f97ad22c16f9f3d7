"""The stable address and name of each service, and who may reach it."""

from __future__ import annotations

from paas.deploy.running import owner_of as owner_of_app
from paas.engine.container import ContainerNotFound
from paas.engine.engine import Engine
from paas.engine.network.addresses import Backend
from paas.host.files import FileLock
from paas.model.service import Service
from paas.plugin.catalog import Catalog
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_runner import owner_of
from paas.store.store import Store

OWNER = "service:"
NAMES = "datastores"
"""The resolver's file of services."""


class ServiceRouter:
    """Writes backends, names and links from the database; every write can be repeated."""

    def __init__(self, store: Store, engine: Engine, catalog: Catalog) -> None:
        self._store = store
        self._engine = engine
        self._catalog = catalog

    def lead(self, service: Service, manifest: ServiceManifest) -> None:
        """Send what arrives at the service's address to its container, if it has one."""
        backends = self._backends(service, manifest)
        # One slot: its address takes every port there, as that of the container does.
        self._engine.network.service(owner_of(service.id), 1)
        if list(self._engine.network.backends(owner_of(service.id))) != backends:
            self._engine.network.set_backends({owner_of(service.id): backends})

    def refuse(self, service: Service) -> None:
        """Let new connections be refused at once, whatever runs."""
        self._engine.network.service(owner_of(service.id), 1)
        self._engine.network.set_backends({owner_of(service.id): []})

    def forget(self, service_id: int) -> None:
        """Give back the address of a service that is being ended."""
        with self._naming():
            self._engine.network.release_service(owner_of(service_id))
        self._engine.network.forget_links(owner_of(service_id))

    def address(self, service: Service) -> str:
        """Where linked apps find it; the same for as long as it exists."""
        return str(self._engine.network.service(owner_of(service.id), 1).slots[0])

    def publish(self) -> None:
        """Let the resolver answer for every service by name; not for one that is half made, which
        may have given its address back already.
        """
        with self._naming():
            names = {
                service.hostname: self._engine.network.service(owner_of(service.id), 1).slots[0]
                for service in self._store.services.list()
                if not service.state.is_half_made
            }
            self._engine.network.resolver.publish(names, NAMES)

    def _naming(self) -> FileLock:
        """Held by who gives an address to each service that is listed, and by who takes one back:
        otherwise a list that is old by then would give it again, for ever.
        """
        return FileLock(self._engine.layout.locks / "service-names")

    def allow(self, service_id: int, app_id: int) -> None:
        """Let the app's instances, one-offs and release phases reach the service."""
        self._engine.network.allow(owner_of_app(app_id), owner_of(service_id))

    def strays(self, app_id: int) -> list[int]:
        """The services that an app may reach and is not linked to; not those of a test, which
        are never more than half made.
        """
        linked = {link.service_id for link in self._store.links.of_app(app_id)}
        linked |= {one.id for one in self._store.services.list() if one.state.is_half_made}
        reached = self._engine.network.links.targets_of(owner_of_app(app_id))
        found = (owner.removeprefix(OWNER) for owner in reached if owner.startswith(OWNER))
        return [int(number) for number in found if int(number) not in linked]

    def settle(self, service_id: int, app_id: int) -> None:
        """Let the app reach the service if there is a link of theirs, and not otherwise."""
        links = self._store.links.of_service(service_id)
        if any(link.app_id == app_id for link in links):
            self.allow(service_id, app_id)
        else:
            self._engine.network.forbid(owner_of_app(app_id), owner_of(service_id))

    def _backends(self, service: Service, manifest: ServiceManifest) -> list[Backend]:
        if service.container is None or not service.state.should_run:
            return []
        try:
            address = self._engine.containers.get(service.container).address
        except ContainerNotFound:
            return []
        return [] if address is None else [Backend(address, manifest.port)]
