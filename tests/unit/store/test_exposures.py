"""Ports of the server that lead to services, and what services show there."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.secrets import Tampered
from paas.model.env import Secret
from paas.model.exposure import Exposure, ServerCertificate, Tls
from paas.model.service import Service
from paas.store.exposures import PortExposed
from paas.store.store import Store
from tests.unit.store.test_sealed import at_rest

KEY = "-----BEGIN PRIVATE KEY-----hunter2hunter2"


def service(store: Store, name: str) -> Service:
    # The first query makes the database, and the key beside it.
    store.services.list()
    return store.services.create("postgres", name, version="17", memory=1, credentials={})


def test_a_port_leads_to_one_service(store: Store) -> None:
    one, other = service(store, "one"), service(store, "other")
    store.exposures.put(Exposure(one.id, 5432, ("10.0.0.0/8",), Tls.SERVER))
    with pytest.raises(PortExposed, match="5432 leads to another service"):
        store.exposures.put(Exposure(other.id, 5432, (), Tls.PROXY))
    store.exposures.put(Exposure(one.id, 5433, (), Tls.NOBODY))
    store.exposures.put(Exposure(other.id, 5432, (), Tls.PROXY))
    assert [each.port for each in store.exposures.list()] == [5432, 5433]
    assert store.exposures.of(one.id) == Exposure(one.id, 5433, (), Tls.NOBODY)
    assert store.exposures.remove(one.id)
    assert not store.exposures.remove(one.id)
    assert store.exposures.of(one.id) is None


def test_the_key_is_sealed_for_its_service_and_goes_with_it(store: Store, tmp_path: Path) -> None:
    one, other = service(store, "one"), service(store, "other")
    store.exposures.certify(one.id, ServerCertificate("f1", "chain", Secret(KEY)))
    assert store.exposures.certificate(one.id) == ServerCertificate("f1", "chain", Secret(KEY))
    assert store.exposures.certificate(other.id) is None
    assert KEY.encode() not in at_rest(tmp_path)
    store._db.execute("UPDATE service_certificates SET service_id = ?", (other.id,))
    with pytest.raises(Tampered):
        store.exposures.certificate(other.id)
    store.services.remove(other.id)
    assert store.exposures.fingerprints() == set()
