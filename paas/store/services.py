"""The services table: which databases there are, and what each is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row, Unique
from paas.host.secrets import Vault
from paas.model.env import Secret, revealed, secrets
from paas.model.service import CPU_WEIGHT, Service, ServiceState


class ServiceNotFound(NotFound):
    """No service of that plugin has that name (exit code 20)."""

    def __init__(self, plugin: str, name: str) -> None:
        shown = name if name.isprintable() else ascii(name)
        super().__init__(
            f"{plugin} service {shown} does not exist",
            resolution=f"paas {plugin}:list names those there are.",
        )


class ServiceExists(PaasError):
    """Two services of one plugin cannot share a name."""

    def __init__(self, plugin: str, name: str) -> None:
        super().__init__(
            f"{plugin} service {name} already exists",
            resolution="Choose another name, or link the one there is.",
        )


class Services:
    """Creates, finds, changes and removes services."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def create(
        self,
        plugin: str,
        name: str,
        *,
        version: str,
        memory: int,
        credentials: Mapping[str, Secret],
        reference: str = "",
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Service:
        """Reserve the name: a service that is CREATING. Raises `ServiceExists`."""
        try:
            self._db.insert(
                "INSERT INTO services (plugin, name, state, reference, version, memory,"
                " cpu_weight, credentials, options, environment, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    plugin,
                    name,
                    ServiceState.CREATING.value,
                    reference,
                    version,
                    memory,
                    CPU_WEIGHT,
                    self._sealed(plugin, name, "credentials", revealed(credentials)),
                    json.dumps(list(options)),
                    self._sealed(plugin, name, "environment", environment or {}),
                    self._now(),
                ),
            )
        except Unique:
            raise ServiceExists(plugin, name) from None
        return self.get(plugin, name)

    def get(self, plugin: str, name: str) -> Service:
        """Raises `ServiceNotFound`."""
        found = self._where("plugin = ? AND name = ?", plugin, name)
        if not found:
            raise ServiceNotFound(plugin, name)
        return found[0]

    def by_id(self, service_id: int) -> Service | None:
        """The service with that id, if it still exists."""
        found = self._where("id = ?", service_id)
        return found[0] if found else None

    def list(self, plugin: str | None = None) -> Sequence[Service]:
        """Those of one plugin, or all, by name."""
        return self._where("1") if plugin is None else self._where("plugin = ?", plugin)

    def images(self) -> set[str]:
        """The ids of images that services need, running or not."""
        return {service.image for service in self.list() if service.image}

    def set_state(self, service_id: int, state: ServiceState) -> None:
        """Say what should become of a service."""
        self._set(service_id, "state", state.value)

    def set_content(self, service_id: int, image: str, version: str, volume: str) -> None:
        """Say what a service runs, and on which data."""
        self._db.execute(
            "UPDATE services SET image = ?, version = ?, volume = ? WHERE id = ?",
            (image, version, volume, service_id),
        )

    def set_reference(self, service_id: int, reference: str) -> None:
        """Remember the image's name; empty for the plugin's own."""
        self._set(service_id, "reference", reference)

    def set_container(
        self, service_id: int, container: str | None, *, restarts: int | None = None
    ) -> None:
        """Say which container a service is, and how often it was started again."""
        self._set(service_id, "container", container)
        if restarts is not None:
            self._set(service_id, "restarts", restarts)

    def set_credentials(self, service: Service, credentials: Mapping[str, Secret]) -> None:
        """Remember by whom and with what password it is used."""
        plain = revealed(credentials)
        sealed = self._sealed(service.plugin, service.name, "credentials", plain)
        self._set(service.id, "credentials", sealed)

    def set_outdated(self, service: Service, outdated: Sequence[Mapping[str, Secret]]) -> None:
        """Remember what is yet to be revoked, instead of what was to be."""
        plain = json.dumps([revealed(each) for each in outdated])
        place = _place(service.plugin, service.name, "outdated")
        self._set(service.id, "outdated", self._vault.seal(plain, place) if outdated else "")

    def set_memory(self, service_id: int, memory: int) -> None:
        """Limit it, from its next start on. In bytes."""
        self._set(service_id, "memory", memory)

    def set_cpu_weight(self, service_id: int, weight: int) -> None:
        """Say what it weighs where processors are short, from its next start on."""
        self._set(service_id, "cpu_weight", weight)

    def set_options(self, service_id: int, options: Sequence[str]) -> None:
        """Give its command other further words, from its next start on."""
        self._set(service_id, "options", json.dumps(list(options)))

    def set_environment(self, service: Service, environment: Mapping[str, str]) -> None:
        """Give it other further variables, from its next start on."""
        sealed = self._sealed(service.plugin, service.name, "environment", environment)
        self._set(service.id, "environment", sealed)

    def remove(self, service_id: int) -> None:
        """Forget a service that nothing links to."""
        self._db.execute("DELETE FROM services WHERE id = ?", (service_id,))

    def _set(self, service_id: int, column: str, value: str | int | None) -> None:
        # `column` is one of the literals above.
        self._db.execute(
            f"UPDATE services SET {column} = ? WHERE id = ?",  # noqa: S608
            (value, service_id),
        )

    def _where(self, condition: str, *values: str | int) -> Sequence[Service]:
        # `condition` is one of the literals above.
        rows = self._db.execute(
            f"SELECT * FROM services WHERE {condition} ORDER BY plugin, name",  # noqa: S608
            values,
        )
        return [self._service(row) for row in rows]

    def _sealed(self, plugin: str, name: str, what: str, values: Mapping[str, str]) -> str:
        return self._vault.seal(json.dumps(dict(values)), _place(plugin, name, what))

    def _opened(self, row: Row, what: str) -> dict[str, Secret]:
        opened = self._vault.open(row[what], _place(row["plugin"], row["name"], what))
        return secrets(json.loads(opened))

    def _outdated(self, row: Row) -> tuple[dict[str, Secret], ...]:
        if not row["outdated"]:
            return ()
        place = _place(row["plugin"], row["name"], "outdated")
        return tuple(secrets(each) for each in json.loads(self._vault.open(row["outdated"], place)))

    def _service(self, row: Row) -> Service:
        return Service(
            id=row["id"],
            plugin=row["plugin"],
            name=row["name"],
            state=ServiceState(row["state"]),
            image=row["image"],
            reference=row["reference"],
            version=row["version"],
            volume=row["volume"],
            container=row["container"],
            memory=row["memory"],
            credentials=self._opened(row, "credentials"),
            created_at=row["created_at"],
            options=tuple(json.loads(row["options"])),
            environment=self._opened(row, "environment"),
            restarts=row["restarts"],
            cpu_weight=row["cpu_weight"],
            outdated=self._outdated(row),
        )


def _place(plugin: str, name: str, what: str) -> str:
    """What a value of a service is sealed for."""
    return f"service {plugin} {name} {what}"
