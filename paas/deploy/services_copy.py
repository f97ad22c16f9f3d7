"""Cloning, upgrading and replacing the content of a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from paas.deploy.services import ServiceOperations
from paas.deploy.services_candidate import Candidates
from paas.deploy.services_kept import KeptVolumes
from paas.deploy.services_link import ServiceLinks
from paas.deploy.services_rotate import ServiceRotation
from paas.deploy.services_talk import ServiceTalk
from paas.deploy.spool import spool
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Report
from paas.model.service import Service, ServiceState, parse_service_name
from paas.plugin.service_image import name_of, version_of
from paas.plugin.service_values import new_password


class AppsNotStarted(PaasError):
    """The service has its new content, and a linked app does not run with it yet."""

    def __init__(self, service: Service, failed: Sequence[tuple[App, PaasError]]) -> None:
        super().__init__(
            f"{service.name} has its new content, and not every linked app runs with it",
            [f"{app.name}: {error.brief}" for app, error in failed],
            f"Its next release has the URL: paas ps:restart {failed[0][0].name}",
        )


class ContentDiffers(PaasError):
    """The new server does not hold what the old one holds."""


@dataclass(frozen=True)
class ServiceCopies:
    """What needs all the data of a service at once. Methods raise `PaasError`."""

    services: ServiceOperations
    talk: ServiceTalk
    links: ServiceLinks

    @property
    def candidates(self) -> Candidates:
        """Who makes servers from dumps."""
        return Candidates(self.services)

    @property
    def rotation(self) -> ServiceRotation:
        """Who changes passwords."""
        return ServiceRotation(self.services, self.talk, self.links)

    @property
    def kept(self) -> KeptVolumes:
        """What services held before an upgrade or a restore."""
        return KeptVolumes(self.services)

    def spool(self) -> AbstractContextManager[int]:
        """An unnamed file for a dump."""
        return spool(self.services.layout)

    def clone(self, source: Service, name: str, *, actor: str, report: Report) -> Service:
        """Make a service with the content that another has now: one snapshot of it."""
        name = parse_service_name(name)
        source = self.services.existing(source)
        self.services.check_keeps_data(source, "clone")
        with (
            self.services.copying(source, f"being cloned by {actor}"),
            self.services.reserved(lambda: self._twin(source, name)) as twin,
            # Its volume is a candidate's until the end, and swept when nobody works on it.
            self.services.copying(twin, f"being cloned by {actor}"),
            self.spool() as dump,
        ):
            store = self.services.store
            store.services.set_content(twin.id, source.image, source.version, "")
            twin = replace(twin, image=source.image)
            report.step(f"Copying {source.name}")
            self.candidates.dump(source, self.talk.container(source), dump)
            report.step(f"Loading {name}")
            with self.candidates.loaded(twin, dump) as candidate:
                self.candidates.promote(candidate)
            self.services.router.publish()
            store.events.add(actor, "", f"{source.plugin}:clone", f"{source.name} to {name}")
        return self.services.get(source.plugin, name)

    def _twin(self, source: Service, name: str) -> Service:
        environment = {key: value.reveal() for key, value in source.environment.items()}
        services = self.services.store.services
        twin = services.create(
            source.plugin,
            name,
            version=source.version,
            memory=source.memory,
            # Databases and users keep their names: they are in the dump.
            credentials={**source.credentials, "password": Secret(new_password())},
            reference=source.reference,
            options=source.options,
            environment=environment,
        )
        services.set_cpu_weight(twin.id, source.cpu_weight)
        return services.get(source.plugin, name)

    def replace_content(
        self, service: Service, dump: int, *, actor: str, report: Report, why: str
    ) -> str:
        """Give a service the content of a dump instead of its own; the old volume's name.

        It is loaded into another server first: a dump that is none changes nothing. The
        address, the links and the credentials stay; a dump whose only database has another
        name gives linked apps that one. Raises `OtherDatabases` for several of them, and
        `AppsNotStarted` when all is done and some app does not start with it.
        """
        with (
            self.services.exclusive(service, f"being {why} by {actor}"),
            self.services.copying(service, f"being {why} by {actor}"),
        ):
            current = self.services.existing(service)
            report.step(f"Loading {service.name} beside what runs")
            with self.candidates.loaded(current, dump) as loaded:
                candidate = self.candidates.named(loaded)
                old = self.candidates.promote(candidate)
            self.services.store.events.add(actor, "", f"{service.plugin}:{why}", service.name)
            if candidate != loaded:
                database = candidate.service.credentials["database"].reveal()
                report.detail(f"Its database is {database} from now on, as in the dump")
            # Also what an earlier restore did not come to any more.
            failed: Sequence[tuple[App, PaasError]] = ()
            if self.links.misleads(candidate.service):
                failed = self.links.relink(
                    candidate.service, actor=actor, report=report, whatever_database=True
                )
        report.detail(f"What it held before is kept in the volume {old}")
        report.detail(f"To remove it: {removal(service, old)}")
        if failed:
            raise AppsNotStarted(service, failed)
        return old

    def upgrade(
        self, service: Service, version: str, image: str, *, actor: str, report: Report
    ) -> str | None:
        """Move a service to another version, or to today's packages of its own.

        Within a major version in place. To another one, or to an image of another name, by a
        dump into a new volume, checked before it serves; the old volume is kept, and its name
        returned. On any failure the old server serves on as it was.
        """
        manifest = self.services.manifest(service)
        plugin = self.services.catalog.get(service.plugin)
        with (
            self.services.exclusive(service, f"being upgraded by {actor}"),
            self.services.copying(service, f"being upgraded by {actor}"),
            self.services.engine.layers.lease(),
        ):
            current = self.services.existing(service)
            reference = image or ("" if version else current.reference)
            wanted = version or (version_of(image) if image else current.version)
            fresh = manifest.major(wanted) == manifest.major(current.version)
            report.step(f"Preparing {manifest.title} {wanted}")
            new = self.services.images.get(plugin, wanted, reference, report, fresh=fresh)
            target = replace(current, image=new.id, version=wanted, reference=reference)
            self.services.images.check(manifest, target)
            # Another maker's image may keep its data in another place, and begin with none.
            alike = manifest.image.in_place or name_of(reference) == name_of(current.reference)
            if not manifest.keeps_data() or (fresh and alike):
                self._in_place(current, target, report)
                old = None
            else:
                old = self._by_dump(current, target, report)
            self.services.store.events.add(
                actor, "", f"{service.plugin}:upgrade", f"{service.name} to {wanted}"
            )
        if old is not None:
            report.detail(f"The data of {manifest.title} {service.version} is kept in {old}")
            report.detail(f"To remove it: {removal(service, old)}")
        return old

    def _in_place(self, current: Service, target: Service, report: Report) -> None:
        """The same data under newer packages; under the older ones again if it fails."""
        manifest = self.services.manifest(current)
        report.step(f"Restarting {current.name}")
        # It is to run all the while: killed in between, the supervisor starts the old one.
        self.services.halt(current, ServiceState.RUNNING)
        try:
            self.services.run(replace(target, container=None), manifest)
        except BaseException:
            self.services.run(replace(current, container=None), manifest)
            raise

    def _by_dump(self, current: Service, target: Service, report: Report) -> str:
        with self.spool() as dump, self._quiet(current, report) as container:
            report.step(f"Copying {current.name}")
            self.candidates.dump(current, container, dump)
            before = self.candidates.count(current, container)
            report.step("Loading it into the new version")
            with self.candidates.loaded(target, dump) as candidate:
                if candidate.count != before:
                    raise ContentDiffers(
                        f"The new server of {current.name} does not hold what the old one holds",
                        _difference(before, candidate.count),
                        "Nothing was changed: the old one serves on.",
                    )
                report.detail(f"Verified: {summary(before)}")
                return self.candidates.promote(candidate)

    @contextmanager
    def _quiet(self, service: Service, report: Report) -> Iterator[str]:
        """The service without a client: what is written meanwhile would be lost.

        Connections that exist end with their server, which is started again for the dump
        alone: no command finds it either. Unless another server is the service behind the
        block, it serves again.
        """
        manifest, store = self.services.manifest(service), self.services.store
        report.step(f"Closing {service.name} to its clients")
        self.services.router.refuse(service)
        store.services.set_container(service.id, None)
        if service.container is not None:
            self.services.runner.stop(service.container)
        container = self.services.serve(service, manifest)
        # Known here alone: who asks for the server of the service finds none.
        try:
            yield container
        finally:
            with self.services.strays.left_none(container):
                left = self.services.existing(service)
                if left.container is None:
                    store.services.set_container(service.id, container)
            if left.container is None:
                self.services.router.lead(replace(left, container=container), manifest)
            else:
                self.services.runner.stop(container)


def removal(service: Service, volume: str) -> str:
    """The command that removes what a service held before."""
    return f"paas {service.plugin}:prune {service.name} {volume}"


def summary(count: str) -> str:
    """`3 tables, 120 rows` of the lines that `count` gives: a name and a number each."""
    numbers = [line.rpartition(" ")[2].rpartition("=")[2] for line in count.splitlines()]
    whole = [int(number) for number in numbers if number.isdecimal()]
    return f"{len(whole)} tables, {sum(whole)} rows"


def _difference(before: str, after: str) -> list[str]:
    old, new = set(before.splitlines()), set(after.splitlines())
    return [*(f"- {line}" for line in sorted(old - new)), *(f"+ {x}" for x in sorted(new - old))][
        :20
    ]
