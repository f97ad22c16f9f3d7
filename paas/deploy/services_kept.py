"""The old data of services: volumes that an upgrade by a dump, a restore or an import kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.services import ServiceOperations
from paas.errors import NotFound
from paas.model.service import Service


class NothingKept(NotFound):
    """The service has no such volume beside the one that it uses."""


@dataclass(frozen=True)
class Kept:
    """A volume with what a service held before; `bytes` are what it takes on the disk."""

    volume: str
    bytes: int


@dataclass(frozen=True)
class KeptVolumes:
    """Lists and removes them; whoever destroys a service removes them with it."""

    services: ServiceOperations

    def of(self, service: Service) -> list[Kept]:
        """Those of a service, the oldest first."""
        volumes, store = self.services.runner.volumes, self.services.store
        prefix = f"service-{service.id}-"
        # In this order: a candidate's volume is one until it is the service's.
        found = [name for name in volumes.list() if name.startswith(prefix)]
        candidates = {volume for volume, _ in store.backups.candidates()}
        current = (store.services.by_id(service.id) or service).volume
        kept = {*found} - {current, *candidates}
        return [
            Kept(name, volumes.size(name))
            for name in sorted(kept, key=lambda name: int(name.removeprefix(prefix)))
        ]

    def remove(self, service: Service, volume: str | None, *, actor: str) -> Sequence[Kept]:
        """Remove one of a service's kept volumes for good, or all; which ones that were.

        Raises `NothingKept` for one that is none, also for the one that the service uses, and
        `ServiceBusy`.
        """
        volumes = self.services.runner.volumes
        # Nobody puts other data in place of the present meanwhile.
        with self.services.copying(service, f"having old data removed by {actor}"):
            found = [one for one in self.of(service) if volume in (None, one.volume)]
            if volume is not None and not found:
                raise NothingKept(
                    f"{service.name} keeps no old data in a volume {volume}",
                    resolution=f"paas {service.plugin}:info {service.name} lists what it keeps.",
                )
            if found:
                told = f"{service.name}: {', '.join(one.volume for one in found)}"
                self.services.store.events.add(actor, "", f"{service.plugin}:prune", told)
                with volumes.ending():
                    for one in found:
                        # At once: who is killed leaves no half of it to be taken for the data.
                        volumes.discard(one.volume)
        volumes.sweep()
        return found
