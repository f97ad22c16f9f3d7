"""The ports table: each port of the server leads to one app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from paas.errors import NotFound, PaasError
from paas.host.database import Database
from paas.model.port import Port, Scheme

SHARED = (80, 443)
"""Apps are told apart by name there: a mapping says only where inside it leads."""


class PortTaken(PaasError):
    """The port leads to another app already, or to another of this one's."""

    def __init__(self, port: Port, owner: str, held: Port) -> None:
        super().__init__(
            f"Port {port.port}/{port.scheme.transport} belongs to app {owner} ({held})",
            resolution=f"Remove it there first: ports:remove {owner} {held}",
        )


class PortNotFound(NotFound):
    """The app has no such port mapping."""

    def __init__(self, port: Port) -> None:
        super().__init__(f"Port mapping {port} does not belong to this app")


class Ports:
    """Adds, removes and lists port mappings."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, app_id: int, ports: Iterable[Port]) -> None:
        """Lead ports to an app, all or none; again is no error. Raises `PortTaken`."""
        with self._db.transaction():
            for port in ports:
                self._add(app_id, port)

    def _add(self, app_id: int, port: Port) -> None:
        for held_by, name, held in self._all():
            same = (held.port, held.scheme.transport) == (port.port, port.scheme.transport)
            if (held_by, held) == (app_id, port):
                return
            if same and (held_by == app_id or port.port not in SHARED or port.scheme.raw):
                raise PortTaken(port, name, held)
        self._db.execute(
            "INSERT INTO ports (app_id, scheme, port, target) VALUES (?, ?, ?, ?)",
            (app_id, port.scheme, port.port, port.target),
        )

    def remove(self, app_id: int, ports: Iterable[Port]) -> None:
        """Take ports from an app, all or none. Raises `PortNotFound`."""
        with self._db.transaction():
            for port in ports:
                removed = self._db.execute(
                    "DELETE FROM ports WHERE app_id = ? AND scheme = ? AND port = ? AND target = ?"
                    " RETURNING port",
                    (app_id, port.scheme, port.port, port.target),
                )
                if not removed:
                    raise PortNotFound(port)

    def clear(self, app_id: int) -> None:
        """Take all ports from an app."""
        self._db.execute("DELETE FROM ports WHERE app_id = ?", (app_id,))

    def list(self, app_id: int) -> Sequence[Port]:
        """The port mappings of an app."""
        return [port for owner, _, port in self._all() if owner == app_id]

    def all(self) -> Mapping[int, Sequence[Port]]:
        """The port mappings of every app that has some, by its id."""
        found: dict[int, list[Port]] = {}
        for owner, _, port in self._all():
            found.setdefault(owner, []).append(port)
        return found

    def _all(self) -> Sequence[tuple[int, str, Port]]:
        rows = self._db.execute(
            "SELECT app_id, name, scheme, port, target FROM ports JOIN apps ON apps.id = app_id"
            " ORDER BY scheme, port"
        )
        return [
            (row["app_id"], row["name"], Port(Scheme(row["scheme"]), row["port"], row["target"]))
            for row in rows
        ]
