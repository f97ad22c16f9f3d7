"""By which credentials the server of a service lets its clients in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.errors import PaasError
from paas.model.env import Secret
from paas.model.service import Service
from paas.plugin.catalog import Catalog
from paas.plugin.service_runner import ServiceRunner
from paas.plugin.service_values import environment

TIMEOUT_S = 60.0
"""For one change: who makes it holds the service, and one that hangs could not be healed."""


class CredentialsRefused(PaasError):
    """The server does not take new credentials, or keeps the old ones."""


@dataclass(frozen=True)
class ServiceAccess:
    """Adds and ends credentials at a server that runs; what is stored of them others do."""

    catalog: Catalog
    runner: ServiceRunner

    def grant(self, service: Service, container: str, credentials: Mapping[str, Secret]) -> None:
        """Let in by `credentials` too; again is harmless.

        Raises `CredentialsRefused`, and `RanTooLong` when the server hangs.
        """
        self._change(service, container, "grant", "NEW_", credentials)

    def revoke(self, service: Service, container: str, credentials: Mapping[str, Secret]) -> None:
        """Let nobody in by `credentials` any longer, and end the connections they made; again
        is harmless. Raises as `grant`.
        """
        try:
            self._change(service, container, "revoke", "OLD_", credentials)
        except CredentialsRefused:
            # Servers refuse to revoke what they do not know: who was killed may have done it, or
            # not even granted it, and some forget it with their end.
            self.grant(service, container, credentials)
            self._change(service, container, "revoke", "OLD_", credentials)

    def _change(
        self,
        service: Service,
        container: str,
        command: str,
        prefix: str,
        credentials: Mapping[str, Secret],
    ) -> None:
        manifest = self.catalog.get(service.plugin).manifest
        args = manifest.commands.get(command)
        if args is None:
            return
        others = environment(manifest, service, credentials)
        env = environment(manifest, service) | {f"{prefix}{k}": v for k, v in others.items()}
        env["PAAS_HOST_ADDRESS"] = self.runner.host_address
        answer = self.runner.ask(container, args, env, TIMEOUT_S)
        if answer.code != 0:
            raise CredentialsRefused(
                f"{manifest.title} of {service.name} refuses to change its credentials",
                answer.errors.splitlines()[-10:],
                f"Look at its log: paas {service.plugin}:logs {service.name}",
            )
