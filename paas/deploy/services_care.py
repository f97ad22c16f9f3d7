"""Making services run what the database says: after a crash, a reboot, a killed command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from paas.deploy.services import ServiceOperations
from paas.deploy.services_link import leavers, linked_apps
from paas.deploy.services_rotate import revoke_unused
from paas.errors import PaasError
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.backup import Verdict
from paas.model.service import Service
from paas.store.services import ServiceNotFound


class Unmended(PaasError):
    """Some services could not be looked after; the others have been."""


class ServiceCare:
    """Single steps for the supervisor, each safe to repeat and to be killed in.

    Whoever holds a service is changing it, and needs no help.
    """

    def __init__(self, services: ServiceOperations) -> None:
        self._services = services
        self._store = services.store

    def heal(self, service: Service) -> bool:
        """Start the container of a service that should run and has none, or one that hangs;
        says whether it did.

        Somebody who is changing the service needs no help.
        """
        lock = self._services.lock(service.id, "being started again")
        if not lock.try_acquire():
            return False
        try:
            current = self._store.services.by_id(service.id)
            if current is None or not self._is_ailing(current):
                return False
            if current.container is not None and self._services.hangs(current):
                told = f"{current.plugin} {current.name}: it hangs"
                self._store.events.add("supervisor", "", "unhealthy", told)
                self._services.runner.kill(current.container)
            manifest = self._services.manifest(current)
            container = self._services.serve(current, manifest)
            with self._services.strays.left_none(container):
                restarts = current.restarts + 1
                self._store.services.set_container(service.id, container, restarts=restarts)
            self._services.router.lead(replace(current, container=container), manifest)
        finally:
            lock.release()
        return True

    def ailing(self) -> list[Service]:
        """The services that should run and do not, or answer nobody."""
        return [
            service
            for service in self._store.services.list()
            if self._is_ailing(service) and not self._is_held(service)
        ]

    def _is_ailing(self, service: Service) -> bool:
        well = self._services.is_up(service) and not self._services.hangs(service)
        return service.state.should_run and not well

    def sweep(self) -> None:
        """End what killed commands left: half-made services, and containers of nobody."""
        try:
            self._each(self._settle)
        finally:
            self._free()

    def _settle(self, service: Service) -> None:
        if service.state.is_half_made:
            self._end(service)
        elif service.container is not None and not service.state.should_run:
            self._halt(service)

    def _free(self) -> None:
        for app in self._store.apps.list():
            self.close(app)
        for service_id in self._services.strays.owners():
            self._end_strays(service_id)
        for volume, service_id in self._store.backups.candidates():
            self._drop(volume, service_id)

    def _end_strays(self, service_id: int) -> None:
        """Unless somebody holds it: who stops a server lets it come to its end."""
        lock = self._services.lock(service_id, "cleaning up")
        if lock.try_acquire():
            try:
                self._services.strays.end(service_id)
            finally:
                lock.release()

    def close(self, app: App) -> None:
        """Take back what a link had opened that was not made, and what one that is gone has left
        open for old instances.
        """
        router = self._services.router
        if not router.strays(app.id) or leavers(self._store, [app]):
            return
        lock = self._services.linking(app)
        if lock.try_acquire():
            try:
                for service_id in router.strays(app.id):
                    router.settle(service_id, app.id)
            finally:
                lock.release()

    def _end(self, service: Service) -> None:
        with self._services.gate():
            lock = self._services.lock(service.id, "cleaning up")
            if not lock.try_acquire():
                return
        try:
            current = self._store.services.by_id(service.id)
            if current is not None and current.state.is_half_made:
                self._services.erase(current)
        finally:
            lock.release()

    def _halt(self, service: Service) -> None:
        """End the server of one whose stop was cut short."""
        lock = self._services.lock(service.id, "cleaning up")
        if not lock.try_acquire():
            return
        try:
            current = self._store.services.by_id(service.id)
            if current is not None and not current.state.should_run:
                self._services.halt(current, current.state)
        finally:
            lock.release()

    def _drop(self, volume: str, service_id: int) -> None:
        """Remove the volume of a candidate, unless somebody works on it."""
        lock = self._services.copy_lock(service_id, "cleaning up")
        if not lock.try_acquire():
            return
        try:
            if (volume, service_id) in self._store.backups.candidates():
                self._services.runner.volumes.remove(volume)
                self._store.backups.drop_candidate(volume)
        finally:
            lock.release()

    def settle_backups(self) -> None:
        """Say of backups whose maker was killed that they are none."""
        for backup in self._store.backups.running():
            try:
                service = self._store.services.get(backup.plugin, backup.service)
            except ServiceNotFound:
                self._store.backups.judge(backup, Verdict.BAD, "the service was destroyed")
                continue
            lock = self._services.copy_lock(service.id, "cleaning up")
            if lock.try_acquire():
                still = any(one.id == backup.id for one in self._store.backups.running())
                if still:
                    self._store.backups.judge(backup, Verdict.BAD, "it was interrupted")
                lock.release()

    def mend(self) -> None:
        """Repeat what a reboot or a killed command left undone of addresses and names."""
        try:
            self._each(self._lead)
        finally:
            # By name a service is found also while what it is made of cannot be read.
            self._services.router.publish()

    def _lead(self, service: Service) -> None:
        # Nobody starts another server meanwhile, or gives the address back.
        lock = self._looking(service)
        if not lock.try_acquire():
            return
        try:
            current = self._store.services.by_id(service.id)
            if current is not None and not current.state.is_half_made:
                self._services.router.lead(current, self._services.manifest(current))
        finally:
            lock.release()

    def revoke_outdated(self) -> None:
        """End the old passwords that a rotation had to leave, once no app has them any more."""
        self._each(self._revoke)

    def _revoke(self, service: Service) -> None:
        if not service.outdated or not self._services.is_up(service):
            return
        lock = self._services.lock(service.id, "ending old passwords")
        if not lock.try_acquire():
            return
        try:
            current = self._store.services.by_id(service.id)
            if current is None or current.state.is_half_made or not self._services.is_up(current):
                return
            if not leavers(self._store, linked_apps(self._store, current)):
                revoke_unused(self._services, current)
        finally:
            lock.release()

    def _each(self, mend: Callable[[Service], None]) -> None:
        """Do it for every service; one that fails keeps none of the others from its turn.

        Raises `Unmended` behind the last one.
        """
        failed = []
        for service in self._store.services.list():
            try:
                mend(service)
            except (PaasError, OSError) as error:
                failed.append(f"{service.plugin} {service.name}: {error}")
        if failed:
            raise Unmended("Not every service could be looked after", failed)

    def _is_held(self, service: Service) -> bool:
        lock = self._looking(service)
        if not lock.try_acquire():
            return True
        lock.release()
        return False

    def _looking(self, service: Service) -> FileLock:
        # Shared, so that two who look do not take each other for its holder.
        return self._services.lock(service.id, "looking", shared=True)
