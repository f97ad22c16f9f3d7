"""Named networks: sets of owners whose containers may open connections to one another.

Who is in no network together, and not linked, stays refused: joining opens, nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Unique

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123, 2.1), of a network and of an alias: no dot, so none is a domain's."""


class InvalidNetworkName(PaasError):
    """The name cannot be that of a network, or an alias."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(
            f"{name[:80]!a} cannot be {what}",
            resolution="Use 1 to 63 lower-case letters, digits and dashes.",
        )


class NetworkNotFound(NotFound):
    """No network has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no network {name}", resolution=f"Make it: paas network:create {name}"
        )


class NetworkExists(PaasError):
    """A network has that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a network {name} already")


class NetworkInUse(PaasError):
    """The network has members."""

    def __init__(self, name: str, members: Sequence[str]) -> None:
        super().__init__(f"The network {name} is in use")
        self.members = members


class AliasTaken(PaasError):
    """The alias leads to another owner."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"The alias {alias} is another's already", resolution="Choose another one."
        )


@dataclass(frozen=True)
class Named:
    """A network and whose containers are in it."""

    name: str
    created_at: float
    members: tuple[str, ...]


class NamedNetworks:
    """The networks of one engine; what they open is written by `Network`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, name: str) -> None:
        """Add a network without members. Raises `InvalidNetworkName`, `NetworkExists`."""
        if not NAME.fullmatch(name):
            raise InvalidNetworkName("the name of a network", name)
        try:
            self._db.execute("INSERT INTO named_networks VALUES (?, ?)", (name, time.time()))
        except Unique:
            raise NetworkExists(name) from None

    def destroy(self, name: str) -> None:
        """Remove a network without members. Raises `NetworkNotFound`, `NetworkInUse`."""
        with self._db.transaction():
            members = self.get(name).members
            if members:
                raise NetworkInUse(name, members)
            self._db.execute("DELETE FROM named_networks WHERE name = ?", (name,))

    def get(self, name: str) -> Named:
        """The network called `name`. Raises `NetworkNotFound`."""
        found = next((network for network in self.list() if network.name == name), None)
        if found is None:
            raise NetworkNotFound(name)
        return found

    def list(self) -> Sequence[Named]:
        """All networks by name."""
        members: dict[str, list[str]] = {}
        for row in self._db.execute("SELECT * FROM network_members ORDER BY owner"):
            members.setdefault(row["network"], []).append(row["owner"])
        return [
            Named(row["name"], row["created_at"], tuple(members.get(row["name"], ())))
            for row in self._db.execute("SELECT * FROM named_networks ORDER BY name")
        ]

    def of(self, owner: str) -> Sequence[str]:
        """The names of the networks that an owner is in."""
        rows = self._db.execute(
            "SELECT network FROM network_members WHERE owner = ? ORDER BY network", (owner,)
        )
        return [row["network"] for row in rows]

    def members(self) -> Sequence[str]:
        """Everyone who is in any network."""
        rows = self._db.execute("SELECT DISTINCT owner FROM network_members ORDER BY owner")
        return [row["owner"] for row in rows]

    def put(self, owner: str, networks: Sequence[str], aliases: Iterable[str] = ()) -> None:
        """Have an owner in exactly these networks, found by these names too in the first.

        All of it or nothing. Raises `NetworkNotFound`, `AliasTaken`.
        """
        wanted = set(networks)
        with self._db.transaction():
            for name in wanted:
                self.get(name)
            for name in set(self.of(owner)) - wanted:
                self._db.execute(
                    "DELETE FROM network_members WHERE network = ? AND owner = ?", (name, owner)
                )
            for name in wanted:
                self._db.execute(
                    "INSERT OR IGNORE INTO network_members VALUES (?, ?)", (name, owner)
                )
            for alias in aliases:
                self.name(owner, networks[0], alias)

    def name(self, owner: str, network: str, alias: str) -> None:
        """Let an owner be found by another name too. Raises `AliasTaken`."""
        if not NAME.fullmatch(alias):
            raise InvalidNetworkName("an alias", alias)
        with self._db.transaction():
            if self.aliases().get(alias, owner) != owner:
                raise AliasTaken(alias)
            self._db.execute(
                "INSERT OR IGNORE INTO network_aliases VALUES (?, ?, ?)", (alias, network, owner)
            )

    def aliases(self) -> Mapping[str, str]:
        """All aliases, and whose they are."""
        return {
            row["alias"]: row["owner"]
            for row in self._db.execute("SELECT * FROM network_aliases ORDER BY alias")
        }
