"""Services through their life: created, started, stopped, destroyed, talked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from paas.deploy.services_access import ServiceAccess
from paas.deploy.services_route import ServiceRouter
from paas.deploy.services_strays import Strays
from paas.deploy.wake import wake_supervisor
from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.host.files import FileLock, remove_tree
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.exposure import ServerCertificate, Tls
from paas.model.layout import Layout
from paas.model.report import Report
from paas.model.service import Service, ServiceState, parse_service_name
from paas.plugin.catalog import Catalog, ServicePlugin
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_image import ServiceImages, version_of
from paas.plugin.service_runner import (
    FIRST_SECONDS,
    RECOVERY_SECONDS,
    ServiceRunner,
    log_directory,
    owner_of,
)
from paas.plugin.service_values import first_credentials
from paas.store.services import ServiceNotFound
from paas.store.store import Store

PATIENCE_SECONDS = 1.0


class ServiceBusy(PaasError):
    """Somebody else is changing the service, or copying it."""

    def __init__(self, service: Service, holder: str) -> None:
        super().__init__(
            f"{service.plugin} service {service.name} is busy: {holder}",
            resolution="Wait until that has ended, and try again.",
        )


class StillLinked(PaasError):
    """A service that apps use is not destroyed."""

    def __init__(self, service: Service, apps: Sequence[str]) -> None:
        super().__init__(
            f"Cannot delete linked service {service.name}",
            [f"It is linked to {', '.join(apps)}."],
            f"Unlink it first: paas {service.plugin}:unlink {service.name} {apps[0]}",
        )


class NoSuchAbility(PaasError):
    """The plugin has no such command: there is nothing it could mean."""

    def __init__(self, manifest: ServiceManifest, command: str) -> None:
        super().__init__(
            f"{manifest.title} has nothing to {command}",
            resolution=f"plugins/{manifest.name}/plugin.toml says what it can do.",
        )


@dataclass(frozen=True)
class Wish:
    """What is asked of a new service; empty is the plugin's default. `memory` is in bytes."""

    version: str = ""
    image: str = ""
    memory: int = 0
    password: str | None = None
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class ServiceOperations:
    """Everything that is done to one service. Methods raise `PaasError`."""

    def __init__(
        self,
        layout: Layout,
        store: Store,
        engine: Engine,
        catalog: Catalog,
        publish_edge: Callable[[], object],
    ) -> None:
        """`publish_edge` has the proxy follow what is exposed."""
        self.layout = layout
        self.store = store
        self.engine = engine
        self.catalog = catalog
        self.router = ServiceRouter(store, engine, catalog)
        self.runner = ServiceRunner(engine)
        self.strays = Strays(store, engine, self.runner)
        self.access = ServiceAccess(catalog, self.runner)
        self.images = ServiceImages(engine)
        self.publish_edge = publish_edge

    def get(self, plugin: str, name: str) -> Service:
        """Raises `ServiceNotFound`."""
        return self.store.services.get(plugin, name)

    def check_keeps_data(self, service: Service, what: str) -> None:
        """Raise `NoSuchAbility` for a datastore that has nothing to copy."""
        manifest = self.manifest(service)
        if not manifest.keeps_data():
            raise NoSuchAbility(manifest, what)

    def manifest(self, service: Service) -> ServiceManifest:
        """What its plugin says of it. Raises `InvalidManifest`."""
        return self.catalog.get(service.plugin).manifest

    # -- life ------------------------------------------------------------------------------

    def create(
        self, plugin_name: str, name: str, wish: Wish, *, actor: str, report: Report
    ) -> Service:
        """Make a service and wait until it answers; nothing is left of one that does not."""
        plugin = self.catalog.get(plugin_name)
        name = parse_service_name(name)
        with self.reserved(lambda: self._reserve(plugin, name, wish)) as service:
            return self._make(plugin, service, actor, report)

    @contextmanager
    def reserved(self, reserve: Callable[[], Service]) -> Iterator[Service]:
        """A new service, held exclusively; nothing is left of it when the block raises."""
        # The gate keeps `sweep` from looking between the row and its lock.
        with self.gate():
            with self.store.transaction():
                service = reserve()
                # Asked again: it may just have been disabled, when there was no service of it.
                self.catalog.get(service.plugin)
            lock = self.lock(service.id, "being created")
            lock.acquire()
        try:
            yield service
        except BaseException:
            self.erase(service)
            raise
        finally:
            lock.release()

    def _reserve(self, plugin: ServicePlugin, name: str, wish: Wish) -> Service:
        manifest = plugin.manifest
        tagged = version_of(wish.image) if wish.image else manifest.versions[0]
        return self.store.services.create(
            manifest.name,
            name,
            version=wish.version or tagged,
            memory=wish.memory or manifest.memory,
            credentials=first_credentials(manifest, name, wish.password),
            reference=wish.image,
            options=wish.options,
            environment=dict(wish.environment),
        )

    def _make(self, plugin: ServicePlugin, service: Service, actor: str, report: Report) -> Service:
        # Until the row names the image, the lease keeps it from being collected.
        with self.engine.layers.lease():
            image = self.images.get(plugin, service.version, service.reference, report)
            volume = f"service-{service.id}-1"
            self.store.services.set_content(service.id, image.id, service.version, volume)
        service = replace(service, image=image.id, volume=volume)
        self.images.check(plugin.manifest, service)
        self.run(service, plugin.manifest, patience=FIRST_SECONDS)
        self.runner.check_kept(plugin.manifest, service)
        self.store.services.set_content(
            service.id, image.id, self.runner.true_version(plugin.manifest, service), volume
        )
        self.store.events.add(actor, "", f"{service.plugin}:create", service.name)
        return self.get(service.plugin, service.name)

    def run(
        self,
        service: Service,
        manifest: ServiceManifest,
        certificate: ServerCertificate | None = None,
        *,
        patience: float = RECOVERY_SECONDS,
    ) -> None:
        """Start its container and make it the service's: from here on it should run, as
        `service` says. With `certificate` it speaks TLS, exposed or not.
        """
        container = self.serve(service, manifest, certificate, patience=patience)
        with self.strays.left_none(container), self.store.transaction():
            # At once: an older image is never to be started on what a newer one has written.
            self.store.services.set_content(
                service.id, service.image, service.version, service.volume
            )
            self.store.services.set_reference(service.id, service.reference)
            self.store.services.set_container(service.id, container, restarts=0)
            self.store.services.set_state(service.id, ServiceState.RUNNING)
        running = replace(service, container=container, state=ServiceState.RUNNING)
        self.router.lead(running, manifest)
        self.router.publish()
        wake_supervisor(self.layout)

    def serve(
        self,
        service: Service,
        manifest: ServiceManifest,
        certificate: ServerCertificate | None = None,
        *,
        patience: float = RECOVERY_SECONDS,
    ) -> str:
        """`launch` in place of what is at work on its data, and let in by what is yet to be
        revoked too: some servers forget it.
        """
        current = self.store.services.by_id(service.id)
        if current is not None and current.container is not None:
            self.runner.stop(current.container)
        self.strays.end(service.id)
        container = self.launch(manifest, service, certificate=certificate, patience=patience)
        with self.strays.left_none(container):
            for credentials in service.outdated:
                self.access.grant(service, container, credentials)
        return container

    def launch(
        self,
        manifest: ServiceManifest,
        service: Service,
        extra: Mapping[str, str] | None = None,
        *,
        certificate: ServerCertificate | None = None,
        patience: float = RECOVERY_SECONDS,
    ) -> str:
        """Start a server of a service's as it is exposed by now, or with `certificate`; the
        container's id.
        """
        exposure = self.store.exposures.of(service.id)
        if certificate is None and exposure is not None and exposure.tls is Tls.SERVER:
            certificate = self.store.exposures.certificate(service.id)
        return self.runner.start(
            manifest, service, extra=extra, certificate=certificate, patience=patience
        )

    def destroy(self, service: Service, *, actor: str, report: Report) -> None:
        """Stop and forget a service with its data. Raises `StillLinked`, `ServiceBusy`."""
        with self.exclusive(service, f"being destroyed by {actor}"), self.copying(service):
            with self.store.transaction():
                self._not_linked(service)
                self.store.services.set_state(service.id, ServiceState.DESTROYING)
            report.detail(f"Stopping {service.name}")
            self.erase(service)
            self.store.events.add(actor, "", f"{service.plugin}:destroy", service.name)

    def _not_linked(self, service: Service) -> None:
        links = self.store.links.of_service(service.id)
        apps = [self.store.apps.by_id(app_id) for app_id in sorted({one.app_id for one in links})]
        if apps:
            raise StillLinked(service, [app.name for app in apps if app is not None])

    def erase(self, service: Service) -> None:
        """Remove all that belongs to a service; again is harmless."""
        # Also one that ran already: nobody starts it again, or gives it an address.
        self.store.services.set_state(service.id, ServiceState.DESTROYING)
        if self.store.exposures.remove(service.id):
            # Before its address is another's.
            self.publish_edge()
        for container in self.engine.containers.list():
            if container.owner == owner_of(service.id):
                self.runner.stop(container.id)
        self.router.forget(service.id)
        for volume in self.runner.volumes.list():
            if volume.startswith(f"service-{service.id}-"):
                self.runner.volumes.remove(volume)
        self.engine.forget(owner_of(service.id))
        remove_tree(log_directory(self.layout, service.id))
        with self.store.transaction():
            # Versions before let a service be linked while it was made or ended.
            for link in self.store.links.of_service(service.id):
                self.store.links.remove(link)
            # Last: by it the supervisor knows that there is something left.
            self.store.services.remove(service.id)
        self.router.publish()

    def start(self, service: Service, *, actor: str) -> None:
        """Run a service that was stopped, or is to come back at once."""
        with self.exclusive(service, f"being started by {actor}"):
            current = self.existing(service)
            if not self.is_up(current):
                self.run(current, self.manifest(current))
                self.store.events.add(actor, "", f"{service.plugin}:start", service.name)

    def stop(self, service: Service, *, actor: str, paused: bool = False) -> None:
        """End its container until `start`; its data, links and address stay."""
        state = ServiceState.PAUSED if paused else ServiceState.STOPPED
        with self.exclusive(service, f"being stopped by {actor}"):
            self.halt(self.existing(service), state)
            self.store.events.add(actor, "", f"{service.plugin}:stop", service.name)

    def halt(self, service: Service, state: ServiceState) -> None:
        """End its container; for who holds it exclusively."""
        # First the state: the supervisor starts nothing again that ends behind it.
        self.store.services.set_state(service.id, state)
        self.router.refuse(service)
        self.store.services.set_container(service.id, None)
        if service.container is not None:
            self.runner.stop(service.container)

    def restart(self, service: Service, *, actor: str) -> None:
        """Stop and start, on the same data and at the same address."""
        with self.exclusive(service, f"being restarted by {actor}"):
            current = self.existing(service)
            # It is to run all the while: killed in between, the supervisor starts it.
            self.halt(current, ServiceState.RUNNING)
            self.run(replace(current, container=None), self.manifest(current))
            self.store.events.add(actor, "", f"{service.plugin}:restart", service.name)

    def status(self, service: Service) -> str:
        """A word for people: running, stopped, paused, missing…"""
        if service.state.should_run and not self.is_up(service):
            return "missing"
        if service.state.should_run and self.hangs(service):
            return "hanging"
        return service.state.value

    def is_up(self, service: Service) -> bool:
        """Whether its container is there and has not ended."""
        return service.container is not None and self.runner.runs(service.container)

    def hangs(self, service: Service) -> bool:
        """Whether its server is there and answers nobody."""
        return service.container is not None and self.runner.hangs(service.container)

    def existing(self, service: Service) -> Service:
        """The service as it is now. Raises `ServiceNotFound`."""
        current = self.store.services.by_id(service.id)
        if current is None or current.state.is_half_made:
            raise ServiceNotFound(service.plugin, service.name)
        return current

    @contextmanager
    def exclusive(self, service: Service, holder: str) -> Iterator[None]:
        """Held by who changes what runs. Raises `ServiceBusy`, which names the holder."""
        yield from self._held(service, self.lock(service.id, holder))

    @contextmanager
    def copying(self, service: Service, holder: str = "being destroyed") -> Iterator[None]:
        """Held by who reads all of its data, and by who ends it. Raises `ServiceBusy`."""
        yield from self._held(service, self.copy_lock(service.id, holder))

    def _held(self, service: Service, lock: FileLock) -> Iterator[None]:
        # Whoever only looks whether it is held holds it for a moment.
        if not wait_until(lock.try_acquire, PATIENCE_SECONDS):
            raise ServiceBusy(service, lock.holder())
        try:
            yield
        finally:
            lock.release()

    def linking(self, app: App) -> FileLock:
        """Held by who links an app, and by who takes back what a killed one had opened."""
        return FileLock(self.layout.locks / f"app-{app.id}.links", "being linked")

    def gate(self) -> FileLock:
        """Held by who makes a row that is to have a lock, and by who looks for such."""
        return FileLock(self.layout.locks / "services")

    def lock(self, service_id: int, holder: str, *, shared: bool = False) -> FileLock:
        """The lock of `exclusive`, for who does not insist."""
        return FileLock(self.layout.locks / f"service-{service_id}", holder, shared=shared)

    def copy_lock(self, service_id: int, holder: str) -> FileLock:
        """The lock of `copying`, for who does not insist."""
        return FileLock(self.layout.locks / f"service-{service_id}.copy", holder)
