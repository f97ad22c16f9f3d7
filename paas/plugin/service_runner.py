"""One service as a container: started, waited for, asked, stopped.

The container belongs to nobody's session: a monitor of its own keeps its log and its exit
code, and it outlives whoever started it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from paas.engine import inside, logs
from paas.engine.config import Healthcheck
from paas.engine.container import ContainerNotFound
from paas.engine.engine import Engine
from paas.engine.healthcheck import Condition
from paas.engine.images import Image
from paas.engine.spec import ContainerSpec, Mount, command_of
from paas.engine.volumes import Volumes
from paas.errors import PaasError
from paas.host.terminal import Terminal
from paas.host.waiting import wait_until
from paas.model.env import Secret, revealed
from paas.model.exposure import ServerCertificate
from paas.model.layout import Layout
from paas.model.limits import Limits
from paas.model.service import Service
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_values import command, environment

FIRST_SECONDS = 60.0
"""For a server without data. What it takes longer for is never going to come."""

RECOVERY_SECONDS = 3600.0
"""For one that has data: it may have to replay its log first, and to end it would be to
begin that anew.
"""

HUNG = Healthcheck(("CMD",), interval=20.0, timeout=10.0, retries=3)
"""How a running server is asked whether it still answers; three times in vain it hangs."""

STEP_SECONDS = 0.02
CONNECT_SECONDS = 1.0
LOG_LINES = 30
PIDS = 4096
SHELL = ("/bin/bash",)

LABEL = "paas.service"
"""Containers with this label are services; its value is the service's id."""

TLS_LABEL = "paas.tls"
"""The certificate that a server was started with, by its fingerprint."""


class ServiceFailed(PaasError):
    """The server of a service ended, or did not become ready in time."""


class NotRunning(PaasError):
    """The service has no container to ask."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            f"{service.plugin} service {service.name} is not running",
            resolution=f"Start it: paas {service.plugin}:start {service.name}",
        )


class WrongDataVersion(PaasError):
    """The data was written by another major version than the one that is to read it."""


class DataElsewhere(PaasError):
    """The server of an image keeps its data where it would be lost with the container."""


@dataclass(frozen=True)
class Answer:
    """What a command in a container said."""

    code: int
    output: str
    errors: str


def owner_of(service_id: int) -> str:
    """The owner of a service's user id range, containers and addresses."""
    return f"service:{service_id}"


def log_directory(layout: Layout, service_id: int) -> Path:
    """Where the output of a service's containers is kept."""
    return layout.logs / "services" / str(service_id)


class ServiceRunner:
    """Runs the containers of services."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._layout = engine.layout
        self.volumes = Volumes(engine.layout, engine.rootfs)

    # -- data ----------------------------------------------------------------------------

    def check_data(self, manifest: ServiceManifest, service: Service) -> None:
        """See to it that the data in the volume is this version's. Raises `WrongDataVersion`.

        A server of another major version would refuse to start at best.
        """
        written = self.data_version(manifest, service)
        # Of an image whose name carries no version, the server itself is who refuses.
        known = manifest.major(service.version)
        if written and known and manifest.major(written) != known:
            raise WrongDataVersion(
                f"The data of {service.name} was written by {manifest.title}"
                f" {written}, and {service.version} cannot read it",
                [f"It is in the volume {service.volume}, untouched."],
                f"paas {service.plugin}:upgrade moves data to another version.",
            )

    def data_version(self, manifest: ServiceManifest, service: Service) -> str:
        """Which version wrote the data; empty when there is none, or nothing says so."""
        if not manifest.version_file or service.volume not in self.volumes.list():
            return ""
        folder = self._layout.engine_fs / "volumes" / service.volume
        return inside.read(folder, "/" + manifest.version_file).strip()

    def check_kept(self, manifest: ServiceManifest, service: Service) -> None:
        """See to it that a server which began without data, and answers, keeps what it gets in
        the service's volume. Raises `DataElsewhere`.
        """
        folder = self._layout.engine_fs / "volumes" / service.volume
        keeps = manifest.image.keeps
        if keeps and not any(inside.is_file(folder, f"/{path}") for path in keeps):
            raise DataElsewhere(
                f"The image {service.reference or service.image} keeps its data outside of"
                f" {manifest.data}, where it would be lost with every restart",
                [f"Its server answers, and there is no {' or '.join(keeps)} in the volume."],
                "Name one that keeps it there, as the official ones do, or none: the plugin makes"
                " its own.",
            )

    def true_version(self, manifest: ServiceManifest, service: Service) -> str:
        """The version of a server that wrote its data itself: an image's name can carry none
        (`latest`), or another one.
        """
        written = self.data_version(manifest, service)
        is_other = written and manifest.major(written) != manifest.major(service.version)
        return written if is_other else service.version

    # -- life ----------------------------------------------------------------------------

    def start(
        self,
        manifest: ServiceManifest,
        service: Service,
        *,
        extra: Mapping[str, str] | None = None,
        certificate: ServerCertificate | None = None,
        patience: float = RECOVERY_SECONDS,
    ) -> str:
        """Start a container on the service's volume; its id, when it answers.

        `patience` is how many seconds it may take to. With `certificate` it speaks TLS, and
        to the host nothing else. Nothing of it is left on failure. Raises `ServiceFailed`,
        `WrongDataVersion` and what the engine raises.
        """
        self.check_data(manifest, service)
        image = self._engine.images.get(service.image)
        env = {**environment(manifest, service), **self._tls(certificate), **(extra or {})}
        spec = self._spec(manifest, service, image, env)
        label = {TLS_LABEL: certificate.fingerprint} if certificate else {}
        spec = replace(spec, labels={**spec.labels, **label})
        if spec.log is not None:
            spec.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._engine.containers.create(spec)
            self._engine.containers.start(spec.id)
            self._await(manifest, service, spec.id, patience)
        except BaseException:
            self.stop(spec.id)
            raise
        return spec.id

    def _spec(
        self,
        manifest: ServiceManifest,
        service: Service,
        image: Image,
        env: Mapping[str, str | Secret],
    ) -> ContainerSpec:
        container = secrets.token_hex(16)
        words = command(manifest, service)
        config = image.config
        base = command_of(config, args=words) if words else command_of(config)
        return ContainerSpec(
            id=container,
            image=image.id,
            owner=owner_of(service.id),
            args=(*base, *service.options),
            env=env,
            hostname=service.hostname,
            labels={LABEL: str(service.id), "paas.plugin": service.plugin},
            mounts=self.mounts(manifest, service),
            limits=Limits(memory_bytes=service.memory, pids=PIDS, cpu_weight=service.cpu_weight),
            stop_signal=manifest.stop_signal,
            stop_timeout=manifest.stop_timeout,
            healthcheck=replace(HUNG, test=("CMD", *_alive(manifest))),
            log=log_directory(self._layout, service.id) / f"{service.plugin}.1.{container}.log",
        )

    @property
    def host_address(self) -> str:
        """Where connections come from that the proxy passes on, and the host's own."""
        return str(self._engine.network.plan.host)

    def certificate_of(self, container: str) -> str:
        """The fingerprint of the one that a server was started with; empty without."""
        return self._engine.containers.get(container).labels.get(TLS_LABEL, "")

    def _tls(self, certificate: ServerCertificate | None) -> dict[str, str | Secret]:
        if certificate is None:
            return {"PAAS_HOST_ADDRESS": self.host_address}
        return {
            "PAAS_HOST_ADDRESS": self.host_address,
            "PAAS_TLS_CERTIFICATE": certificate.chain,
            "PAAS_TLS_KEY": certificate.key,
        }

    def mounts(self, manifest: ServiceManifest, service: Service) -> tuple[Mount, ...]:
        """The service's volume, where its server keeps its data."""
        if not manifest.data:
            return ()
        self.volumes.create(service.volume)
        user_range = self._engine.ranges.range_for(owner_of(service.id))
        mount = self.volumes.mount(service.volume, user_range, manifest.data)
        # An official image can declare a volume within it, where it keeps its data.
        return (replace(mount, whole=True),)

    def _await(
        self, manifest: ServiceManifest, service: Service, container: str, patience: float
    ) -> None:
        def answers() -> bool:
            if not self.runs(container):
                raise self._failure(manifest, service, container, "ended")
            if not self._listens(container, manifest.port):
                return False
            return self.ask(container, manifest.commands["ready"]).code == 0

        if not wait_until(answers, patience, STEP_SECONDS):
            what = f"was not ready after {patience:g} seconds"
            raise self._failure(manifest, service, container, what)

    def _listens(self, container: str, port: int) -> bool:
        address = self._engine.containers.get(container).address
        try:
            socket.create_connection((str(address), port), CONNECT_SECONDS).close()
        except OSError:
            return False
        return True

    def _failure(
        self, manifest: ServiceManifest, service: Service, container: str, what: str
    ) -> ServiceFailed:
        log = self._engine.containers.get(container).log
        lines = logs.tail(log, LOG_LINES) if log is not None and log.exists() else []
        reason = what
        with suppress(ContainerNotFound):
            status = self._engine.containers.status(container)
            if status.oom_killed:
                reason = "was killed: out of memory"
            elif status.exit_code is not None:
                reason = f"ended with exit code {status.exit_code}"
        return ServiceFailed(
            f"{manifest.title} of {service.name} {reason}",
            lines,
            f"All it said: paas {service.plugin}:logs {service.name}",
        )

    def runs(self, container: str) -> bool:
        """Whether a container is there and has not ended."""
        try:
            return not self._engine.containers.status(container).state.has_ended
        except ContainerNotFound:
            return False

    def hangs(self, container: str) -> bool:
        """Whether it runs and has not answered for a while."""
        try:
            health = self._engine.probes.health(container)
        except ContainerNotFound:
            return False
        return health is not None and health.condition is Condition.UNHEALTHY

    def stop(self, container: str) -> None:
        """Stop by the server's own signal and grace, then remove; it may be gone already."""
        with suppress(PaasError):
            self._engine.containers.stop(container)
        self._engine.containers.remove(container)

    def kill(self, container: str) -> None:
        """End it without asking, which would be in vain, then remove it."""
        with suppress(PaasError):
            self._engine.containers.kill(container)
            self._engine.containers.wait(container)
        self._engine.containers.remove(container)

    # -- commands in it --------------------------------------------------------------------

    def attached(
        self,
        container: str,
        args: Sequence[str],
        terminal: Terminal,
        env: Mapping[str, str | Secret],
    ) -> int:
        """Run `args` in a container on the caller's descriptors; the exit code is its."""
        return self._engine.foreground.exec(
            container,
            args,
            terminal.stdin,
            terminal.stdout,
            terminal.stderr,
            terminal if terminal.isatty else None,
            env=plain(env),
        )

    def piped(
        self,
        container: str,
        args: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        env: Mapping[str, str | Secret] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run `args` between two descriptors; what it says on standard error is kept.

        Raises `RanTooLong` and `ContainerNotFound`.
        """
        errors = os.memfd_create("stderr", os.MFD_CLOEXEC)
        try:
            code = self._engine.foreground.exec(
                container, args, stdin, stdout, errors, env=plain(env or {}), timeout_s=timeout_s
            )
            return Answer(code, "", _content(errors))
        finally:
            os.close(errors)

    def ask(
        self,
        container: str,
        args: Sequence[str],
        env: Mapping[str, str | Secret] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Run `args` without input and return what it says. Raises as `piped`."""
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        output = os.memfd_create("stdout", os.MFD_CLOEXEC)
        try:
            answer = self.piped(
                container, args, stdin=nothing, stdout=output, env=env, timeout_s=timeout_s
            )
            return Answer(answer.code, _content(output), answer.errors)
        finally:
            os.close(nothing)
            os.close(output)


def _alive(manifest: ServiceManifest) -> tuple[str, ...]:
    return manifest.commands.get("alive", manifest.commands["ready"])


def plain(env: Mapping[str, str | Secret]) -> dict[str, str]:
    """The variables as the kernel takes them."""
    return revealed(
        {key: each if isinstance(each, Secret) else Secret(each) for key, each in env.items()}
    )


def _content(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read().decode("utf-8", "replace")
