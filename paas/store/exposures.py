"""The tables of exposures: which port of the server leads to which service, and as whom."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paas.errors import PaasError
from paas.host.database import Database, Row, Unique
from paas.host.secrets import Vault
from paas.model.env import Secret
from paas.model.exposure import Exposure, ServerCertificate, Tls


class PortExposed(PaasError):
    """The port leads to another service."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} leads to another service already",
            resolution="Choose another one, or none: then it is a free one.",
        )


class Exposures:
    """Adds, finds and removes exposures, and keeps the certificates of services."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def put(self, exposure: Exposure) -> None:
        """Expose a service, instead of how it was exposed before. Raises `PortExposed`."""
        try:
            self._db.execute(
                "INSERT INTO service_exposures (service_id, port, allow, tls) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (service_id) DO UPDATE"
                " SET port = excluded.port, allow = excluded.allow, tls = excluded.tls",
                (
                    exposure.service_id,
                    exposure.port,
                    json.dumps(exposure.allow),
                    exposure.tls.value,
                ),
            )
        except Unique:
            raise PortExposed(exposure.port) from None

    def remove(self, service_id: int) -> bool:
        """Expose a service no more; whether it was."""
        gone = self._db.execute(
            "DELETE FROM service_exposures WHERE service_id = ? RETURNING port", (service_id,)
        )
        return bool(gone)

    def of(self, service_id: int) -> Exposure | None:
        """How a service is exposed, if it is."""
        return next((one for one in self.list() if one.service_id == service_id), None)

    def list(self) -> Sequence[Exposure]:
        """Every exposure, by port."""
        rows = self._db.execute("SELECT * FROM service_exposures ORDER BY port")
        return [_exposure(row) for row in rows]

    # -- certificates ----------------------------------------------------------------------

    def certify(self, service_id: int, certificate: ServerCertificate) -> None:
        """Give a service a certificate, instead of the one it had."""
        self._db.execute(
            "INSERT OR REPLACE INTO service_certificates (service_id, fingerprint, chain, key)"
            " VALUES (?, ?, ?, ?)",
            (
                service_id,
                certificate.fingerprint,
                certificate.chain,
                self._vault.seal(certificate.key.reveal(), _place(service_id)),
            ),
        )

    def certificate(self, service_id: int) -> ServerCertificate | None:
        """The certificate of a service, if it has one."""
        rows = self._db.execute(
            "SELECT * FROM service_certificates WHERE service_id = ?", (service_id,)
        )
        for row in rows:
            key = Secret(self._vault.open(row["key"], _place(service_id)))
            return ServerCertificate(row["fingerprint"], row["chain"], key)
        return None

    def fingerprints(self) -> set[str]:
        """Every certificate that some service has."""
        rows = self._db.execute("SELECT fingerprint FROM service_certificates")
        return {row["fingerprint"] for row in rows}


def _place(service_id: int) -> str:
    """What the key of a service's certificate is sealed for."""
    return f"service certificate {service_id}"


def _exposure(row: Row) -> Exposure:
    return Exposure(
        row["service_id"], row["port"], tuple(json.loads(row["allow"])), Tls(row["tls"])
    )
