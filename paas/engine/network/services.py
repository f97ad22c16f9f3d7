"""Stable addresses of services, and where they lead at the moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from paas.engine.network import conntrack, policy
from paas.engine.network.addresses import SLOTS, Backend, Plan, PoolExhausted, ServiceAddresses
from paas.errors import NotFound
from paas.host.database import Database
from paas.host.firewall import Firewall


class ServiceNotFound(NotFound):
    """No service has that key: it was never made, or released."""

    def __init__(self, key: str) -> None:
        super().__init__(f"No service {key} has addresses in the network")


class Services:
    """Addresses are kept with the desired state, backends with what is observed."""

    def __init__(self, db: Database, observed: Database, plan: Plan) -> None:
        self._db = db
        self._observed = observed
        self._plan = plan

    def ensure(self, key: str, slots: int = SLOTS) -> ServiceAddresses:
        """The addresses of the service `key`, with at least `slots` slots.

        Those it has stay as they are when it grows. Raises `PoolExhausted`.
        """
        # Whoever writes the proxy's sites asks for every app: most need no transaction.
        with suppress(ServiceNotFound):
            found = self.get(key)
            if len(found.slots) >= slots:
                return found
        with self._db.transaction():
            self._db.execute("INSERT OR IGNORE INTO services (key) VALUES (?)", (key,))
            service = self._db.execute("SELECT id FROM services WHERE key = ?", (key,))[0]["id"]
            held = self._db.execute(
                "SELECT count(*) AS n FROM service_addresses WHERE service = ?", (service,)
            )[0]["n"]
            for position, number in zip(
                range(held, slots + 1), self._free(slots + 1 - held), strict=True
            ):
                self._db.execute(
                    "INSERT INTO service_addresses (number, service, position) VALUES (?, ?, ?)",
                    (number, service, position),
                )
        return self.get(key)

    def get(self, key: str) -> ServiceAddresses:
        """Raises `ServiceNotFound`."""
        rows = self._db.execute(
            "SELECT number FROM service_addresses JOIN services ON services.id = service"
            " WHERE key = ? ORDER BY position",
            (key,),
        )
        if not rows:
            raise ServiceNotFound(key)
        vip, *slots = (self._plan.prefix[row["number"]] for row in rows)
        return ServiceAddresses(vip, tuple(slots))

    def exists(self, key: str) -> bool:
        """Whether `key` has addresses."""
        return bool(self._db.execute("SELECT 1 FROM services WHERE key = ?", (key,)))

    def beginning_with(self, prefix: str) -> list[str]:
        """The services whose keys begin so."""
        rows = self._db.execute(
            "SELECT key FROM services WHERE substr(key, 1, length(:prefix)) = :prefix",
            {"prefix": prefix},
        )
        return [row["key"] for row in rows]

    def release(self, key: str) -> None:
        """Give the addresses of `key` back; a service that is not there is fine."""
        self._db.execute("DELETE FROM services WHERE key = ?", (key,))

    def backends(self, key: str) -> tuple[Backend, ...]:
        """Where the service leads, in the order of its slots."""
        return tuple(
            Backend(self._plan.prefix[row["number"]], row["port"])
            for row in self._observed.execute(
                "SELECT number, port FROM backends WHERE service = ? ORDER BY position", (key,)
            )
        )

    def record(self, key: str, backends: Sequence[Backend]) -> None:
        """Remember where `key` leads, so that the kernel's maps can be written again."""
        self._observed.execute("DELETE FROM backends WHERE service = ?", (key,))
        for position, backend in enumerate(backends):
            self._observed.execute(
                "INSERT INTO backends (service, position, number, port) VALUES (?, ?, ?, ?)",
                (key, position, self._plan.number(backend.address), backend.port),
            )

    def all(self) -> dict[ServiceAddresses, tuple[Backend, ...]]:
        """Every service that leads somewhere."""
        rows = self._observed.execute("SELECT DISTINCT service FROM backends")
        keys = [row["service"] for row in rows]
        for key in keys:
            if not self.exists(key):
                # Released while somebody still switched it.
                self._observed.execute("DELETE FROM backends WHERE service = ?", (key,))
        return self.current(key for key in keys if self.exists(key))

    def current(self, keys: Iterable[str]) -> dict[ServiceAddresses, tuple[Backend, ...]]:
        """Where each of `keys` leads now."""
        return {self.get(key): self.backends(key) for key in keys}

    def wanted(
        self, changes: Mapping[str, Sequence[Backend]]
    ) -> dict[ServiceAddresses, tuple[Backend, ...]]:
        """`changes` with the addresses of each service. Raises `ServiceNotFound`."""
        return {self.get(key): tuple(backends) for key, backends in changes.items()}

    def _free(self, wanted: int) -> list[int]:
        if wanted <= 0:
            return []
        taken = {row["number"] for row in self._db.execute("SELECT number FROM service_addresses")}
        cursor = int(self._db.execute("SELECT service_cursor FROM network")[0]["service_cursor"])
        numbers = map(self._plan.number, self._plan.services_after(cursor))
        free = list(islice((number for number in numbers if number not in taken), wanted))
        if len(free) < wanted:
            raise PoolExhausted("service")
        self._db.execute("UPDATE network SET service_cursor = ?", (free[-1],))
        return free


def forget_datagrams(
    router: Path, firewall: Firewall, before: policy.Services, after: policy.Services
) -> None:
    """Have the next datagram of each flow to a backend that is gone choose another one."""
    gone = policy.backend_addresses(before) - policy.backend_addresses(after)
    if not gone:
        return
    services = {address for each in before for address in (each.vip, *each.slots)}
    used = services & policy.datagram_services(
        firewall.read(f"list set ip {policy.TABLE} datagrams")
    )
    if used:
        conntrack.forget_datagrams(router, used, gone)
