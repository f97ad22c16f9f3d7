"""`addons` of app.json: services that an app's first push makes and links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from paas.deploy.services import Wish
from paas.deploy.services_link import LinkWish, ServiceLinks
from paas.errors import PaasError
from paas.model.app import App
from paas.model.appjson import Addon
from paas.model.report import Report
from paas.model.service import Service
from paas.plugin.catalog import ServicePlugin
from paas.store.services import ServiceExists

LONGEST = 36
"""Of a service that is named after an app: with a number behind it, it is still a name."""


class UnknownAddon(PaasError):
    """No plugin here makes what app.json asks for."""


@dataclass(frozen=True)
class Addons:
    """Makes what an app declares before it is first built."""

    links: ServiceLinks

    def provision(self, app: App, addons: Sequence[Addon], *, actor: str, report: Report) -> None:
        """Make and link a service for each add-on that the app has none of.

        Only until the app is live: what is unlinked later is meant. A push that failed
        finds what the one before made. Raises `UnknownAddon` before anything is made.
        """
        if app.live is not None:
            return
        wanted = [(addon, self._plugin(addon)) for addon in addons]
        had = self._linked(app)
        for addon, plugin in wanted:
            if plugin.manifest.name in had:
                had.remove(plugin.manifest.name)
                continue
            service = self._create(plugin, app, actor, report)
            wish = LinkWish(alias=addon.alias)
            variable = self.links.link(
                service, app, wish, actor=actor, report=report, restart=False
            )
            report.detail(f"{plugin.manifest.title} {service.name} is linked as {variable}")

    def _plugin(self, addon: Addon) -> ServicePlugin:
        catalog = self.links.services.catalog
        found = catalog.by_addon(addon.plan)
        if found is None:
            raise UnknownAddon(
                f"app.json: no plugin here makes the add-on {addon.plan}",
                resolution="Remove it from `addons`, or install a plugin that makes it.",
            )
        return found

    def _linked(self, app: App) -> list[str]:
        """The plugin of each service that the app is linked to."""
        store = self.links.services.store
        ids = {link.service_id for link in store.links.of_app(app.id)}
        return [service.plugin for service in store.services.list() if service.id in ids]

    def _create(self, plugin: ServicePlugin, app: App, actor: str, report: Report) -> Service:
        report.step(f"Adding {plugin.manifest.title}")
        for name in _names(app):
            try:
                return self.links.services.create(
                    plugin.manifest.name, name, Wish(), actor=actor, report=report
                )
            except ServiceExists:
                continue
        raise AssertionError("there is no end of names")


def _names(app: App) -> Iterator[str]:
    base = app.name[:LONGEST].rstrip("-")
    yield base
    for number in count(2):
        yield f"{base}-{number}"
