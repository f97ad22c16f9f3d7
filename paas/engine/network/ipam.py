"""Who has which address: leases of instances, and who may talk to whom."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.engine.network.addresses import FIRST_INSTANCE, FIRST_SERVICE, Plan, PoolExhausted
from paas.host.database import Database

_TAKE = """
    WITH taken AS (SELECT number FROM leases UNION SELECT number FROM backends),
        candidates (number) AS (
            SELECT :first UNION SELECT number + 1 FROM cursor UNION SELECT number + 1 FROM taken
        )
    INSERT INTO leases (container, owner, number)
    SELECT :container, :owner, number FROM candidates
    WHERE number >= :first AND number < :end AND number NOT IN (SELECT number FROM taken)
    ORDER BY number <= (SELECT number FROM cursor), number LIMIT 1
    ON CONFLICT (container) DO NOTHING
"""
"""The first free number behind the cursor is the cursor's next one or that of a taken one."""

_MOVE = """
    UPDATE cursor SET number = :number
    WHERE (:number - number + :end - :first) % (:end - :first) < (:end - :first) / 2
"""
"""On to what was handed out last, never back: who took an earlier one may come later."""

_OPEN = """
    SELECT source, target FROM network_links UNION
    SELECT one.owner AS source, other.owner AS target
    FROM network_members AS one JOIN network_members AS other USING (network)
"""


@dataclass(frozen=True)
class Lease:
    """The address of one container, for as long as it exists."""

    container: str
    owner: str
    address: IPv4Address


class Leases:
    """The addresses in use, in the database below /run: a reboot ends them all."""

    def __init__(self, observed: Database, plan: Plan) -> None:
        self._db = observed
        self._plan = plan

    def take(self, container: str, owner: str = "") -> Lease:
        """The lease of `container`, a new one if it has none. Raises `PoolExhausted`.

        An address that a service still leads to is not handed out: the traffic of one app
        would reach another. Nor is one soon after it was given back.
        """
        held = self.find(container)
        if held is not None:
            return held
        # By one statement each: a transaction of several keeps the database locked while its
        # thread waits for its turn among others, and those then wait for the lock in vain.
        bounds = {"first": FIRST_INSTANCE, "end": FIRST_SERVICE}
        self._db.execute(_TAKE, {"container": container, "owner": owner, **bounds})
        held = self.find(container)
        if held is None:
            raise PoolExhausted("instance")
        self._db.execute(_MOVE, {"number": self._plan.number(held.address), **bounds})
        return held

    def find(self, container: str) -> Lease | None:
        rows = self._db.execute("SELECT * FROM leases WHERE container = ?", (container,))
        return (
            self._lease(rows[0]["container"], rows[0]["owner"], rows[0]["number"]) if rows else None
        )

    def give_back(self, container: str) -> None:
        """End a lease; one that is not there is fine."""
        self._db.execute("DELETE FROM leases WHERE container = ?", (container,))

    def list(self) -> list[Lease]:
        return [
            self._lease(row["container"], row["owner"], row["number"])
            for row in self._db.execute("SELECT * FROM leases ORDER BY number")
        ]

    def _lease(self, container: str, owner: str, number: int) -> Lease:
        return Lease(container, owner, self._plan.prefix[number])


class Links:
    """Which owners' instances may open connections to which others'."""

    def __init__(self, db: Database, leases: Leases) -> None:
        self._db = db
        self._leases = leases

    def add(self, source: str, target: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO network_links VALUES (?, ?)", (source, target))

    def remove(self, source: str, target: str) -> None:
        self._db.execute(
            "DELETE FROM network_links WHERE source = ? AND target = ?", (source, target)
        )

    def forget(self, owner: str) -> None:
        """Remove every link of an owner that is gone."""
        self._db.execute("DELETE FROM network_links WHERE source = ?1 OR target = ?1", (owner,))

    def concern(self, owner: str) -> bool:
        """Whether any link or network names `owner`."""
        return bool(
            self._db.execute(
                "SELECT 1 FROM network_links WHERE source = ?1 OR target = ?1 UNION ALL"
                " SELECT 1 FROM network_members WHERE owner = ?1 LIMIT 1",
                (owner,),
            )
        )

    def targets_of(self, source: str) -> frozenset[str]:
        """The owners that `source` is linked to."""
        rows = self._db.execute("SELECT target FROM network_links WHERE source = ?", (source,))
        return frozenset(row["target"] for row in rows)

    def targets(self) -> frozenset[str]:
        """The owners that anybody is linked to."""
        rows = self._db.execute("SELECT DISTINCT target FROM network_links")
        return frozenset(row["target"] for row in rows)

    def pairs(self) -> frozenset[tuple[IPv4Address, IPv4Address]]:
        """The links as addresses: every instance of a source with every one of its target,
        and all of those who share a network with each other."""
        held: dict[str, list[IPv4Address]] = {}
        for lease in self._leases.list():
            held.setdefault(lease.owner, []).append(lease.address)
        return frozenset(
            (source, target)
            for row in self._db.execute(_OPEN)
            for source in held.get(row["source"], ())
            for target in held.get(row["target"], ())
            if source != target
        )
