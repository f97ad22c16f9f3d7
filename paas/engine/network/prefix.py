"""The prefix of one PaaS: chosen once, kept in its database, claimed on the host."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from ipaddress import IPv4Network

from paas.engine.network.addresses import Plan, PrefixesTaken
from paas.engine.network.hostside import host_networks, networks_beside
from paas.engine.network.reservations import Claim, Reservations
from paas.host.database import Database
from paas.model.layout import Layout

_QUERY = "SELECT prefix FROM network"


class ChosenPrefix:
    """Which /16 it is, for as long as the PaaS exists."""

    def __init__(self, db: Database, layout: Layout) -> None:
        self._db = db
        self._observed = layout.network_database
        self._claim = Claim(layout.id, layout.engine_database)

    @property
    def is_made(self) -> bool:
        """Whether anybody has asked for it yet."""
        return bool(self._db.execute(_QUERY))

    @property
    def reservations(self) -> Reservations:
        """Where the host's claims are."""
        return Reservations()

    @cached_property
    def plan(self) -> Plan:
        """The addresses; chosen by the first one to ask. Raises `PrefixesTaken`."""
        with self._db.transaction():
            if rows := self._db.execute(_QUERY):
                return Plan(IPv4Network(rows[0]["prefix"]))
            prefix = self.reservations.choose(host_networks(), self._claim)
            self._db.execute("INSERT INTO network (id, prefix) VALUES (1, ?)", (str(prefix),))
        return Plan(prefix)

    def settle(self) -> None:
        """Choose again where another network of this host is in the way of it: the data were
        moved here, or the host was. Only before anything has an address, and while one is free.
        """
        if self._observed.exists():
            return
        with suppress(PrefixesTaken), self._db.transaction():
            for row in self._db.execute(_QUERY):
                before = IPv4Network(row["prefix"])
                if any(other.overlaps(before) for other in networks_beside(before)):
                    chosen = self.reservations.choose(host_networks(), self._claim)
                    self._db.execute("UPDATE network SET prefix = ?", (str(chosen),))
                    self.reservations.release(before, self._claim)
                    self.__dict__.pop("plan", None)

    def hold(self) -> None:
        """There is a route to it now; the claim stays while the PaaS is stopped."""
        self.reservations.hold(self.plan.prefix, self._claim)

    def release(self) -> None:
        """Leave it to others: the PaaS is about to be removed for good."""
        if self.is_made:
            self.reservations.release(self.plan.prefix, self._claim)
