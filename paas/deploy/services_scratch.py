"""Services that live as long as a test: made empty before it, removed behind it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from paas.deploy.running import owner_of as owner_of_app
from paas.deploy.scratch import NoScratchServices
from paas.deploy.services import ServiceOperations
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Silent
from paas.model.service import Service
from paas.plugin.catalog import ServicePlugin
from paas.plugin.service_runner import FIRST_SECONDS, owner_of
from paas.plugin.service_values import first_credentials, url_of


@dataclass(frozen=True)
class ScratchServices:
    """Makes them as services that are never finished: whoever finds one that nobody holds
    removes it, so a test that is killed leaves none.
    """

    operations: ServiceOperations

    @contextmanager
    def services(self, app: App, addons: Sequence[str]) -> Iterator[Mapping[str, Secret]]:
        """While the block lasts, a service for each of `addons`; their config vars by name.

        Raises `NoScratchServices` before anything is made.
        """
        found = {addon: self.operations.catalog.by_addon(addon) for addon in addons}
        unknown = [addon for addon, plugin in found.items() if plugin is None]
        if unknown:
            raise NoScratchServices(unknown)
        with ExitStack() as made:
            urls: dict[str, Secret] = {}
            for plugin in filter(None, found.values()):
                url = made.enter_context(self._one(app, plugin))
                urls[plugin.manifest.link.variable] = Secret(url)
            yield urls

    @contextmanager
    def _one(self, app: App, plugin: ServicePlugin) -> Iterator[str]:
        operations, manifest = self.operations, plugin.manifest
        with operations.reserved(lambda: self._reserve(plugin)) as service:
            try:
                with operations.engine.layers.lease():
                    version = manifest.versions[0]
                    image = operations.images.get(plugin, version, "", Silent())
                    volume = f"service-{service.id}-1"
                    operations.store.services.set_content(service.id, image.id, version, volume)
                service = replace(service, image=image.id, volume=volume)
                operations.engine.network.allow(owner_of_app(app.id), owner_of(service.id))
                container = operations.runner.start(manifest, service, patience=FIRST_SECONDS)
                address = operations.engine.containers.get(container).address
                yield url_of(manifest, service, host=str(address))
            finally:
                operations.erase(service)

    def _reserve(self, plugin: ServicePlugin) -> Service:
        manifest = plugin.manifest
        name = f"test-{secrets.token_hex(6)}"
        return self.operations.store.services.create(
            manifest.name,
            name,
            version=manifest.versions[0],
            memory=manifest.memory,
            credentials=first_credentials(manifest, name),
        )
