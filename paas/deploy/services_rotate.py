"""Changing the password of a service, and ending the old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paas.deploy.services import ServiceOperations
from paas.deploy.services_link import ServiceLinks, linked_apps
from paas.deploy.services_talk import ServiceTalk
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Report
from paas.model.service import Service
from paas.plugin.service_values import rotated, url_of
from paas.store.store import Store


class OldPasswordValid(PaasError):
    """The password was changed, and an app still comes in by the one before."""

    def __init__(
        self, service: Service, apps: Sequence[App], failed: Sequence[tuple[App, PaasError]]
    ) -> None:
        why = {app.id: error.brief for app, error in failed}
        live = "its live release has it"
        super().__init__(
            f"The old password of {service.name} stays valid: not every app has the new one yet",
            [f"{app.name} has the old one: {why.get(app.id, live)}" for app in apps],
            f"It ends by itself when they have been deployed again (paas ps:restart {apps[0].name}"
            f" is enough), or with another paas {service.plugin}:rotate {service.name}.",
        )


@dataclass(frozen=True)
class ServiceRotation:
    """Changes passwords. What is to be revoked is known before anybody is let in by another, so
    that no old password outlives a rotation that fails or is killed.
    """

    services: ServiceOperations
    talk: ServiceTalk
    links: ServiceLinks

    def rotate(self, service: Service, *, actor: str, report: Report) -> None:
        """Give the service another password, and every linked app the URL with it.

        Until their old instances have finished both are valid, so that no connection is refused
        and none is ended in the middle of a request. Raises `OldPasswordValid` when it has to
        stay so for longer, and `CredentialsRefused`.
        """
        with self.services.exclusive(service, f"changing credentials for {actor}"):
            renewed, container = self._renewed(service, actor)
            failed = self.links.relink(renewed, actor=actor, report=report)
            self.links.await_leavers(renewed, report)
            apps = revoke_unused(self.services, replace(renewed, container=container))
            if apps:
                raise OldPasswordValid(renewed, apps, failed)

    def _renewed(self, service: Service, actor: str) -> tuple[Service, str]:
        """The service with another password, valid beside all the earlier ones; its container."""
        store = self.services.store
        current = self.services.existing(service)
        container = self.talk.container(current)
        fresh = rotated(self.services.manifest(current), current)
        # Granted and not yet the service's it is nobody's: to be revoked by whoever finds it.
        store.services.set_outdated(current, (*current.outdated, fresh))
        self.services.access.grant(current, container, fresh)
        outdated = (*current.outdated, current.credentials)
        with store.transaction():
            # From here on a link made meanwhile, and the next start, use the new one.
            store.services.set_credentials(current, fresh)
            store.services.set_outdated(current, outdated)
            store.events.add(actor, "", f"{service.plugin}:rotate", service.name)
        return replace(current, credentials=fresh, outdated=outdated), container


def revoke_unused(services: ServiceOperations, service: Service) -> Sequence[App]:
    """End the outdated credentials that no linked app has; the apps that have one of the others.

    For who holds the service exclusively. Raises `CredentialsRefused`.
    """
    apps: dict[int, App] = {}
    left = list(service.outdated)
    for credentials in service.outdated:
        users = _users(services, service, credentials)
        apps |= {app.id: app for app in users}
        if service.container is not None and not users:
            services.access.revoke(service, service.container, credentials)
            left.remove(credentials)
            services.store.services.set_outdated(service, left)
    return list(apps.values())


def _users(
    services: ServiceOperations, service: Service, credentials: Mapping[str, Secret]
) -> Sequence[App]:
    """The apps that would come in by them: those that run now, or those of the next release."""
    store, manifest = services.store, services.manifest(service)
    then = replace(service, credentials=credentials)
    found = []
    for app in linked_apps(store, service):
        links = [one for one in store.links.of_app(app.id) if one.service_id == service.id]
        urls = {link.variable: Secret(url_of(manifest, then, link)) for link in links}
        if any(urls.items() & config.items() for config in _configs(store, app)):
            found.append(app)
    return found


def _configs(store: Store, app: App) -> Sequence[Mapping[str, Secret]]:
    own = store.config.get(app.id)
    if app.live is None or app.stopped:
        return [own]
    return [own, store.releases.get(app.id, app.live).config]
