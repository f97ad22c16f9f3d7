"""Learning at once that the server of a service has ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from paas.deploy.parts import Parts
from paas.engine.container import ContainerNotFound
from paas.model.service import Service


class ServiceWatch:
    """Holds one pidfd for the monitor of every service that runs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watched: dict[str, tuple[int, int]] = {}
        """Container to descriptor and service id."""
        self._ended: set[str] = set()
        """Containers that a service has until it is given another one."""

    @property
    def descriptors(self) -> list[int]:
        """Readable when a server has ended."""
        return [descriptor for descriptor, _ in self._watched.values()]

    def look(self) -> Sequence[Service]:
        """Watch what runs by now; the services that should run and do not."""
        services = self._parts.store.services.list()
        running = [one for one in services if one.state.should_run]
        live = {one.container: one for one in running if one.container is not None}
        for container in self._watched.keys() - live.keys():
            os.close(self._watched.pop(container)[0])
        self._ended &= live.keys()
        for container, service in live.items():
            if container not in self._watched and container not in self._ended:
                self._watch(container, service)
        return self._parts.service_care.ailing()

    def _watch(self, container: str, service: Service) -> None:
        try:
            descriptor = self._parts.engine.containers.watch(container)
        except ContainerNotFound:
            return
        self._watched[container] = (descriptor, service.id)

    def ended(self, ready: Iterable[int]) -> list[Service]:
        """The services whose server ended on its own, each told once.

        One that somebody stopped, or is changing, has another state or container by now.
        """
        found = []
        gone = set(ready)
        for container, (descriptor, service_id) in list(self._watched.items()):
            if descriptor in gone:
                os.close(descriptor)
                del self._watched[container]
                self._ended.add(container)
                service = self._parts.store.services.by_id(service_id)
                if service is not None and service.container == container:
                    found.append(service)
        return [service for service in found if service.state.should_run]
