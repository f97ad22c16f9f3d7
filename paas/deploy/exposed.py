"""From what the database says of exposed services to what the proxy passes on."""

from __future__ import annotations

from collections.abc import Callable

from paas.engine.container import ContainerNotFound
from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.model.exposure import Exposure, Tls
from paas.model.service import Service
from paas.plugin.service_runner import TLS_LABEL, owner_of
from paas.proxy.exposed import PREFIX, Exposed
from paas.proxy.pairs import Pairs
from paas.proxy.site import Tls as SiteTls
from paas.store.store import Store


def exposed_services(
    store: Store, engine: Engine, pairs: Pairs, tell: Callable[[str, str], None]
) -> list[Exposed]:
    """Every exposed service, running or not: one that is stopped refuses at its address.

    `tell` hears which ones are left out, and why.
    """
    found = []
    for exposure in store.exposures.list():
        service = store.services.by_id(exposure.service_id)
        if service is None or service.state.is_half_made:
            continue
        try:
            found += _exposed(store, engine, pairs, exposure, service)
        except PaasError as error:
            tell(f"{PREFIX}{service.hostname}", error.brief)
    return found


def _exposed(
    store: Store, engine: Engine, pairs: Pairs, exposure: Exposure, service: Service
) -> list[Exposed]:
    if exposure.tls is Tls.SERVER and not _speaks_tls(store, engine, service):
        return []
    slot = engine.network.service(owner_of(service.id), 1).slots[0]
    tls = _pair(store, pairs, service) if exposure.tls is Tls.PROXY else None
    return [Exposed(service.hostname, exposure.port, str(slot), exposure.allow, tls)]


def _speaks_tls(store: Store, engine: Engine, service: Service) -> bool:
    """Whether its server was started to. One that is not there yet will be."""
    certificate = store.exposures.certificate(service.id)
    try:
        labels = engine.containers.get(service.container or "").labels
    except ContainerNotFound:
        return True
    return certificate is not None and labels.get(TLS_LABEL) == certificate.fingerprint


def _pair(store: Store, pairs: Pairs, service: Service) -> SiteTls:
    """The files of a service's certificate, written again when they are gone."""
    certificate = store.exposures.certificate(service.id)
    if certificate is None:
        raise PaasError(f"{service.hostname} has lost its certificate")
    chain = pairs.chain_file(certificate.fingerprint)
    if not chain.exists():
        key = certificate.key.reveal().encode()
        pairs.write(certificate.fingerprint, certificate.chain.encode(), key)
    return SiteTls((), chain, pairs.key_file(certificate.fingerprint))
