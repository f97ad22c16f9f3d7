"""Changing the password of a service, and ending the old ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from paas.deploy.running import NAME, owner_of
from paas.deploy.services import ServiceOperations
from paas.deploy.services_link import ServiceLinks, linked_apps
from paas.deploy.services_talk import ServiceTalk
from paas.engine.container import ContainerNotFound
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

    def rotate(self, service: Service, *, actor: str, report: Report) -> Sequence[str]:
        """Give the service another password, and every linked app the URL with it.

        Until their old instances have finished both are valid, so that no connection is refused
        and none is ended in the middle of a request; and until what is returned has ended, which
        is not waited for. Raises `OldPasswordValid` when an app has to be deployed for the old
        one to end, and `CredentialsRefused`.
        """
        with self.services.exclusive(service, f"changing credentials for {actor}"):
            renewed, container = self._renewed(service, actor)
            failed = self.links.relink(renewed, actor=actor, report=report)
            self.links.await_leavers(renewed, report)
            kept = revoke_unused(self.services, replace(renewed, container=container))
            if kept.apps:
                raise OldPasswordValid(renewed, kept.apps, failed)
            return kept.at_work

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


@dataclass(frozen=True)
class Kept:
    """Who keeps outdated credentials valid: apps that have them, and what is at work with them
    and ends by itself.
    """

    apps: Sequence[App]
    at_work: Sequence[str]


def revoke_unused(services: ServiceOperations, service: Service) -> Kept:
    """End the outdated credentials that nobody has any more; who has one of the others.

    For who holds the service exclusively. Raises `CredentialsRefused`.
    """
    apps: dict[int, App] = {}
    at_work: set[str] = set()
    left = list(service.outdated)
    with _copy_of(services, service) as copy:
        at_work.update(copy)
        for credentials in service.outdated:
            given = _given(services, service, credentials)
            users = [app for app, urls in given if _comes_in(services.store, app, urls)]
            busy = [name for app, urls in given for name in _at_work(services, app, urls)]
            apps |= {app.id: app for app in users}
            at_work.update(busy)
            if service.container is not None and not (users or busy or copy):
                services.access.revoke(service, service.container, credentials)
                left.remove(credentials)
                services.store.services.set_outdated(service, left)
    return Kept(list(apps.values()), sorted(at_work))


@contextmanager
def _copy_of(services: ServiceOperations, service: Service) -> Iterator[Sequence[str]]:
    """The copy that is being made of a service, by the credentials that were its own when that
    began; none is begun within the block.
    """
    lock = services.copy_lock(service.id, "ending old passwords")
    if not lock.try_acquire():
        yield [f"{service.name} is {lock.holder()}"]
        return
    try:
        yield []
    finally:
        lock.release()


def _given(
    services: ServiceOperations, service: Service, credentials: Mapping[str, Secret]
) -> Sequence[tuple[App, Mapping[str, Secret]]]:
    """The linked apps, each with what its links gave it when these were the credentials."""
    store, manifest = services.store, services.manifest(service)
    then = replace(service, credentials=credentials)
    found = []
    for app in linked_apps(store, service):
        links = [one for one in store.links.of_app(app.id) if one.service_id == service.id]
        found.append((app, {link.variable: Secret(url_of(manifest, then, link)) for link in links}))
    return found


def _comes_in(store: Store, app: App, urls: Mapping[str, Secret]) -> bool:
    """Whether an app would come in by them: that which runs now, or its next release."""
    return any(urls.items() & config.items() for config in _configs(store, app))


def _configs(store: Store, app: App) -> Sequence[Mapping[str, Secret]]:
    own = store.config.get(app.id)
    if app.live is None or app.stopped:
        return [own]
    return [own, store.releases.get(app.id, app.live).config]


def _at_work(services: ServiceOperations, app: App, urls: Mapping[str, Secret]) -> Sequence[str]:
    """What runs of an app beside its instances and was given one of these: a command, a run of
    cron's, a phase of a deploy.
    """
    containers, found = services.engine.containers, []
    instances = {one.container for one in services.store.instances.list(app.id)}
    for one in containers.list():
        if one.owner == owner_of(app.id) and one.id not in instances:
            environment = containers.environment(one.id)
            # Of one that is only just begun it is not known yet.
            if not environment or urls.items() & environment.items():
                with suppress(ContainerNotFound):
                    if not containers.status(one.id).state.has_ended:
                        found.append(f"{one.labels.get(NAME, one.id)} of {app.name}")
    return found
