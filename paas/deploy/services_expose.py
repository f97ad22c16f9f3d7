"""Exposing: a port of the server leads to a service, for whom, and over TLS or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from paas.deploy.edge import PortUnusable, check_stream_module
from paas.deploy.route import Router
from paas.deploy.services import ServiceOperations
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.model.env import Secret
from paas.model.exposure import Exposure, ServerCertificate, Tls, parse_networks
from paas.model.port import Port, Scheme
from paas.model.report import Report, Silent
from paas.model.service import Service, ServiceState
from paas.model.settings import DOMAIN, HTTP_PORT, HTTPS_PORT, server_domains
from paas.plugin.service_values import url_of
from paas.proxy.certificates import self_signed
from paas.proxy.exposed import PREFIX
from paas.store.ports import SHARED

CERTIFICATE_DAYS = 3650
LAST_PORT = 65535


class NotExposed(PaasError):
    """No port of the server leads to the service."""


class OpenToAll(PaasError):
    """A server without a password is not led the whole internet to."""


class NoTls(PaasError):
    """The server of another image than ours does not take the certificate."""


@dataclass(frozen=True)
class Wanted:
    """How a service is to be exposed; port 0 is its usual one, or the next that is free."""

    port: int = 0
    allow: Sequence[str] = ()
    tls: bool = True


@dataclass(frozen=True)
class ServiceExposures:
    """Exposes services, and ends that. Methods raise `PaasError`."""

    services: ServiceOperations
    router: Router
    clock: Clock

    def expose(self, service: Service, wanted: Wanted, *, actor: str, report: Report) -> Exposure:
        """Lead a port to a service, instead of another one. On failure nothing is changed.

        A server that speaks TLS by itself is started again when it did not before, and when it
        is not to any more: it lets nobody from outside in without.
        """
        store = self.services.store
        check_stream_module()
        with self.services.exclusive(service, f"being exposed by {actor}"):
            current = self.services.existing(service)
            before, spoken = store.exposures.of(service.id), self._spoken(current)
            exposure = self._checked(current, wanted, before)
            if exposure.tls is not Tls.NOBODY:
                self._certify(current)
            try:
                if exposure.tls is Tls.SERVER:
                    # First: no port leads to a server that still takes what is not encrypted.
                    self._speak(current, self.certificate(current), report)
                exposure = self._put(current, wanted, exposure)
                if exposure.tls is Tls.NOBODY:
                    self._speak(current, None, report)
                self._publish(current, report)
            except BaseException:
                self._take_back(current, before, spoken)
                raise
            store.events.add(actor, "", f"{service.plugin}:expose", f"{service.name}: {exposure}")
        return exposure

    def unexpose(self, service: Service, *, actor: str, report: Report) -> None:
        """Lead no port to a service. Raises `NotExposed`."""
        with self.services.exclusive(service, f"being unexposed by {actor}"):
            if not self.services.store.exposures.remove(service.id):
                raise NotExposed(f"{service.plugin} service {service.name} is not exposed")
            self.router.publish(report)
            self.services.store.events.add(actor, "", f"{service.plugin}:unexpose", service.name)

    def of(self, service: Service) -> Exposure | None:
        """How a service is exposed, if it is."""
        return self.services.store.exposures.of(service.id)

    def url(self, service: Service, exposure: Exposure) -> str:
        """What a client from outside is given."""
        manifest = self.services.manifest(service)
        rule = manifest.expose
        scheme = rule.scheme if exposure.tls is not Tls.NOBODY else ""
        url = url_of(
            manifest, service, scheme=scheme, host=self._names(service)[0], port=exposure.port
        )
        return f"{url}?{rule.query}" if rule.query and exposure.tls is not Tls.NOBODY else url

    def certificate(self, service: Service) -> ServerCertificate:
        """What clients are shown, to check it by. Raises `NotExposed`."""
        found = self.services.store.exposures.certificate(service.id)
        if found is None:
            raise NotExposed(
                f"{service.plugin} service {service.name} was never exposed with TLS",
                resolution=f"paas {service.plugin}:expose {service.name} makes its certificate.",
            )
        return found

    def _checked(self, service: Service, wanted: Wanted, before: Exposure | None) -> Exposure:
        manifest = self.services.manifest(service)
        allow = parse_networks(wanted.allow)
        if not allow and "{password}" not in manifest.link.url:
            raise OpenToAll(
                f"{manifest.title} asks nobody for a password",
                resolution="Say who may come: --allow 203.0.113.7, or a network.",
            )
        tls = manifest.expose.tls if wanted.tls else Tls.NOBODY
        if tls is Tls.SERVER and service.reference:
            raise NoTls(
                f"Whether the image {service.reference} speaks TLS is not known",
                resolution="--no-tls exposes it as it is; --allow says for whom.",
            )
        held = before.port if before is not None else 0
        if wanted.port:
            if wanted.port != held:
                self._check_port(wanted.port)
            return Exposure(service.id, wanted.port, allow, tls)
        return Exposure(service.id, held or self._free(manifest.port), allow, tls)

    def _put(self, service: Service, wanted: Wanted, exposure: Exposure) -> Exposure:
        """Lead the port to the service unless somebody was given it meanwhile: then another one,
        where none was asked for. Raises `PortUnusable`.
        """
        store = self.services.store
        with store.transaction():
            why = self._led(exposure.port, but=service)
            if why and wanted.port:
                raise _unusable(exposure.port, why)
            if why:
                port = self._free(self.services.manifest(service).port)
                exposure = replace(exposure, port=port)
            store.exposures.put(exposure)
        return exposure

    def _check_port(self, port: int) -> None:
        why = self._in_use(port)
        if why:
            raise _unusable(port, why)

    def _free(self, usual: int) -> int:
        for port in range(usual, LAST_PORT):
            if not self._in_use(port):
                return port
        raise PortUnusable("No port of this server is free")

    def _in_use(self, port: int) -> str:
        """Why a port cannot be had; empty when it can."""
        store = self.services.store
        if port in {*SHARED, store.settings.value(HTTP_PORT), store.settings.value(HTTPS_PORT)}:
            return "is where apps are served"
        if why := self._led(port):
            return why
        reason = self.router.refused(Port(Scheme.TCP, port, port))
        return reason.removeprefix(f"Port {port} ") if reason is not None else ""

    def _led(self, port: int, but: Service | None = None) -> str:
        """To whom a port leads, but to this service; empty for nobody."""
        store = self.services.store
        own = but.id if but is not None else None
        if any(one.port == port and one.service_id != own for one in store.exposures.list()):
            return "leads to another service"
        for app_id, ports in store.ports.all().items():
            if any(one.port == port and one.scheme is not Scheme.UDP for one in ports):
                app = store.apps.by_id(app_id)
                return f"leads to {app.name if app is not None else 'an app'}"
        return ""

    def _certify(self, service: Service) -> None:
        exposures = self.services.store.exposures
        if exposures.certificate(service.id) is None:
            pair = self_signed(self._names(service), self.clock.now(), CERTIFICATE_DAYS)
            made = ServerCertificate(
                pair.certificate.fingerprint, pair.chain.decode(), Secret(pair.key.decode())
            )
            exposures.certify(service.id, made)

    def _names(self, service: Service) -> list[str]:
        """By what names a client may call it."""
        domains = server_domains(self.services.store.settings.value(DOMAIN))
        wildcards = [f"*.{domain}" for domain in domains]
        return [*domains, *wildcards, f"{service.hostname}.internal"]

    def _speak(
        self, service: Service, certificate: ServerCertificate | None, report: Report
    ) -> None:
        """Have the server of a service speak TLS with a certificate, or not at all; nothing if it
        does so already, or does not run.
        """
        container = service.container
        if container is None or not self.services.is_up(service):
            return
        spoken = self._spoken(service)
        if spoken == (certificate.fingerprint if certificate is not None else ""):
            return
        how = "speaks TLS" if certificate is not None else "does not speak TLS"
        report.step(f"Restarting {service.name}, which {how} from now on")
        manifest, idle = self.services.manifest(service), replace(service, container=None)
        # It is to run all the while: killed in between, the supervisor starts it as its row says.
        self.services.halt(service, ServiceState.RUNNING)
        try:
            self.services.run(idle, manifest, certificate)
        except BaseException:
            self.services.run(idle, manifest, self.certificate(service) if spoken else None)
            raise

    def _publish(self, service: Service, report: Report) -> None:
        applied = self.router.publish(Silent())
        left_out = dict(applied.quarantined) | {one.app: one.reason for one in applied.closed}
        why = left_out.get(f"{PREFIX}{service.hostname}")
        if why is not None:
            raise PortUnusable(f"The proxy does not listen there: {why}")
        report.detail("The proxy listens")

    def _spoken(self, service: Service) -> str:
        """The fingerprint of the certificate that its server has; empty without, and when it does
        not run.
        """
        if service.container is None or not self.services.is_up(service):
            return ""
        return self.services.runner.certificate_of(service.container)

    def _take_back(self, service: Service, before: Exposure | None, spoken: str) -> None:
        current = self.services.existing(service)
        if spoken:
            # First: no port leads to a server that still takes what is not encrypted.
            self._speak(current, self.certificate(service), Silent())
        with self.services.store.transaction():
            # What it was exposed on may be somebody else's by now.
            if before is not None and not self._led(before.port, but=service):
                self.services.store.exposures.put(before)
            else:
                self.services.store.exposures.remove(service.id)
        self.router.publish(Silent())
        if not spoken:
            self._speak(current, None, Silent())


def _unusable(port: int, why: str) -> PortUnusable:
    return PortUnusable(
        f"Port {port} {why}", resolution="Choose another one, or none for a free one."
    )
