"""Another server for the same service, on a volume of its own, before anything is given up.

Restoring, upgrading, cloning and checking a backup are one story: a new volume, a server
on it, a dump loaded into it, and a look at what is there. Then it is made the service, or
thrown away; until then, what runs is not touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from paas.deploy.services import NoSuchAbility, ServiceOperations
from paas.deploy.wake import wake_supervisor
from paas.engine.spec import ContainerSpec
from paas.errors import PaasError
from paas.host.disk import Disk
from paas.model.env import Secret
from paas.model.limits import Limits
from paas.model.service import Service, ServiceState
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_runner import Answer, owner_of
from paas.plugin.service_values import environment

EMPTY = {"PAAS_EMPTY": "1"}
"""Tells a server's first start to make no database of its own: the dump brings them."""

ERROR_LINES = 10
BY_SIGNAL = 128
"""Exit codes above it are of what a signal ended (POSIX, XCU 2.8.2)."""


class DumpRefused(PaasError):
    """The dump cannot be loaded: it is truncated, of another format, or of another version."""


class LoadFailed(PaasError):
    """A dump is not loaded for reasons that are not its own: memory, disk, a killed server."""


class ContentUnknown(PaasError):
    """What a server holds cannot be counted or listed."""


class OtherDatabases(PaasError):
    """What a dump holds has other names than the one that linked apps are given."""


@dataclass(frozen=True)
class Candidate:
    """A server that holds what a dump held."""

    service: Service
    container: str
    count: str
    names: tuple[str, ...] | None = None
    """Its databases; None where URLs name none."""


class Candidates:
    """Makes candidates from dumps, and services from candidates."""

    def __init__(self, services: ServiceOperations) -> None:
        self._services = services

    def dump(self, service: Service, container: str, out: int) -> None:
        """Write all that a service holds to the descriptor `out`: one snapshot.

        Raises `NoSuchAbility`, and `DumpRefused` with what the server's tool said.
        """
        manifest = self._services.manifest(service)
        args = _able(manifest, "dump")
        env = environment(manifest, service)
        with _nothing() as stdin:
            answer = self._services.runner.piped(container, args, stdin=stdin, stdout=out, env=env)
        _check(answer, f"{service.name} could not be dumped")

    @contextmanager
    def loaded(self, service: Service, dump: int) -> Iterator[Candidate]:
        """A candidate for `service` (its image, version and credentials) with a dump in it.

        `dump` is a file's descriptor, read from its beginning. Behind the block it is gone
        with its volume, unless `promote` made it the service. Raises `DumpRefused`, and
        `LoadFailed`, `ContentUnknown` and what starting a server raises, of which the dump is
        not to blame.
        """
        manifest = self._services.manifest(service)
        volume = self._new_volume(service)
        candidate = replace(service, volume=volume, container=None)
        container, names = None, None
        self._services.store.backups.add_candidate(volume, service.id)
        try:
            os.lseek(dump, 0, os.SEEK_SET)
            if "place" in manifest.commands:
                self._place(manifest, candidate, dump)
                container = self._services.launch(manifest, candidate)
            else:
                first = _first(manifest, candidate)
                container = self._services.launch(manifest, first, EMPTY)
                self._services.runner.check_kept(manifest, candidate)
                self._load(manifest, candidate, container, dump)
                names = self._names(manifest, candidate, container)
                named = _named(candidate, names)
                self._services.access.grant(named, container, named.credentials)
            count = self.count(candidate, container)
            yield Candidate(candidate, container, count, names)
        finally:
            self._discard(service, volume, container)

    def _place(self, manifest: ServiceManifest, candidate: Service, dump: int) -> None:
        """Lay the dump into the new volume, in a container where no server runs."""
        engine = self._services.engine
        errors = os.memfd_create("stderr", os.MFD_CLOEXEC)
        spec = ContainerSpec(
            id=f"{candidate.volume}-place",
            image=candidate.image,
            owner=owner_of(candidate.id),
            args=manifest.commands["place"],
            env=environment(manifest, candidate),
            mounts=self._services.runner.mounts(manifest, candidate),
            limits=Limits(memory_bytes=candidate.memory),
            network="none",
        )
        try:
            code = engine.foreground.run(spec, dump, errors, errors)
            os.lseek(errors, 0, os.SEEK_SET)
            text = os.read(errors, 1 << 16).decode("utf-8", "replace")
        finally:
            os.close(errors)
        answer = Answer(code, "", text)
        self._check_room(answer)
        _check(answer, "The dump cannot be used")

    def _load(
        self, manifest: ServiceManifest, candidate: Service, container: str, dump: int
    ) -> None:
        env = environment(manifest, candidate)
        runner = self._services.runner
        with _nothing(os.O_WRONLY) as stdout:
            args = _able(manifest, "load")
            answer = runner.piped(container, args, stdin=dump, stdout=stdout, env=env)
        self._check_server(answer, container)
        self._check_room(answer)
        _check(answer, "The dump cannot be loaded")

    def _names(
        self, manifest: ServiceManifest, candidate: Service, container: str
    ) -> tuple[str, ...] | None:
        args = manifest.commands.get("names")
        if args is None:
            return None
        env = environment(manifest, candidate)
        answer = self._services.runner.ask(container, args, env)
        _check(answer, f"The databases of {candidate.name} cannot be listed", ContentUnknown)
        return tuple(answer.output.splitlines())

    def _check_server(self, answer: Answer, container: str) -> None:
        """Raise `LoadFailed` for a load that failed because its server did."""
        if answer.code == 0:
            return
        kills = self._services.engine.bundler.cgroups.instance(container).oom_kills()
        if kills or not self._services.runner.runs(container):
            what = "ran out of memory" if kills else "ended"
            raise _load_failed(f"the server {what} meanwhile", answer)

    def _check_room(self, answer: Answer) -> None:
        """Raise `LoadFailed` for a load that was killed, or that had no room on the disk."""
        if answer.code == 0:
            return
        if answer.code > BY_SIGNAL:
            raise _load_failed(f"signal {answer.code - BY_SIGNAL} ended it", answer)
        if not Disk(self._services.layout.engine_fs).room():
            raise _load_failed("the disk is full", answer)

    def count(self, service: Service, container: str) -> str:
        """Lines that are equal for two servers with the same content; empty when nobody can."""
        manifest = self._services.manifest(service)
        args = manifest.commands.get("count")
        if args is None:
            return ""
        env = environment(manifest, service)
        answer = self._services.runner.ask(container, args, env)
        _check(answer, f"The content of {service.name} cannot be counted", ContentUnknown)
        return answer.output

    def named(self, candidate: Candidate) -> Candidate:
        """The candidate by credentials that name a database which it has.

        A dump brings its databases under the names they had: it may be of a service of
        another name. Its only one takes the place of the one that is missing. Raises
        `OtherDatabases` when there are several, or none.
        """
        service, names = candidate.service, candidate.names
        named = _named(service, names)
        if names is not None and _database(named) not in names:
            raise OtherDatabases(
                f"The dump has no database {_database(service)}, which is {service.name}'s",
                [f"It has: {', '.join(names) or 'none'}"],
                "Nothing was changed. Load it into a service that is named like one of them.",
            )
        return replace(candidate, service=named)

    def promote(self, candidate: Candidate) -> str:
        """Make a candidate the service, at the same address: the commit point.

        Returns the name of the old volume, which stays. For who holds the service
        exclusively.
        """
        services, store = self._services, self._services.store
        old = store.services.by_id(candidate.service.id)
        if old is None:
            raise LookupError(f"service {candidate.service.id} is gone")
        new = candidate.service
        version = services.runner.true_version(services.manifest(new), new)
        for credentials in new.outdated:
            # Its dump brings none that are valid, and apps may still come by these.
            services.access.grant(new, candidate.container, credentials)
        with store.transaction():
            store.services.set_content(new.id, new.image, version, new.volume)
            store.services.set_reference(new.id, new.reference)
            store.services.set_credentials(new, new.credentials)
            store.services.set_container(new.id, candidate.container)
            store.services.set_state(new.id, ServiceState.RUNNING)
            store.backups.drop_candidate(new.volume)
        current = store.services.by_id(new.id) or new
        services.router.lead(current, services.manifest(current))
        if old.container is not None:
            services.runner.stop(old.container)
        wake_supervisor(services.layout)
        return old.volume

    def _discard(self, service: Service, volume: str, container: str | None) -> None:
        current = self._services.store.services.by_id(service.id)
        if current is not None and current.volume == volume:
            return
        if container is not None:
            self._services.engine.containers.remove(container)
        self._services.runner.volumes.remove(volume)
        self._services.store.backups.drop_candidate(volume)

    def _new_volume(self, service: Service) -> str:
        """A name that no volume of the service has or had: they count up."""
        prefix = f"service-{service.id}-"
        known = [*self._services.runner.volumes.list(), service.volume]
        numbers = [
            int(match[1])
            for name in known
            if (match := re.fullmatch(rf"{re.escape(prefix)}([0-9]+)", name))
        ]
        return f"{prefix}{max(numbers, default=0) + 1}"


def _database(service: Service) -> str:
    return service.credentials["database"].reveal()


def _named(service: Service, names: tuple[str, ...] | None) -> Service:
    """The service by the only one of these databases, unless its own is among them."""
    if names is None or len(names) != 1 or _database(service) in names:
        return service
    return replace(service, credentials={**service.credentials, "database": Secret(names[0])})


def _first(manifest: ServiceManifest, service: Service) -> Service:
    """The service with the user it began with: the one that a new server makes by itself."""
    if not manifest.new_user:
        return service
    user = Secret(manifest.credentials["user"])
    return replace(service, credentials={**service.credentials, "user": user})


def _able(manifest: ServiceManifest, command: str) -> tuple[str, ...]:
    """Raises `NoSuchAbility`."""
    args = manifest.commands.get(command)
    if args is None:
        raise NoSuchAbility(manifest, command)
    return args


def _check(answer: Answer, brief: str, kind: type[PaasError] = DumpRefused) -> None:
    if answer.code != 0:
        told = "Check where the dump comes from." if kind is DumpRefused else "Try it again."
        raise kind(brief, _last(answer), f"Nothing was changed. {told}")


def _load_failed(why: str, answer: Answer) -> LoadFailed:
    return LoadFailed(
        f"The dump could not be loaded: {why}",
        _last(answer),
        "Nothing was changed. Give it the memory and the disk that it takes, and try it again.",
    )


def _last(answer: Answer) -> list[str]:
    return answer.errors.splitlines()[-ERROR_LINES:]


@contextmanager
def _nothing(flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(os.devnull, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
