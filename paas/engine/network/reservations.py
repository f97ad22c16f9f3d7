"""Which PaaS of this host has chosen which prefix, where there is no route to see it by.

Two that start at the same time would both find the same network free, and one that is stopped
would find its own taken when it comes up again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from paas.engine.network.addresses import PrefixesTaken, choose_prefix
from paas.host.files import FileLock, forget_unfinished, write_atomic

FOLDER = Path("/run/paas-networks")
"""Shared by every PaaS of the host; after a reboot each claims its own again as it starts."""

STARTING_S = 10.0
"""How long the choice of one that never came up counts against all others."""


@dataclass(frozen=True)
class Claim:
    """Who has a prefix: the instance, and the database that says so as long as it exists."""

    instance: str
    database: Path

    def __str__(self) -> str:
        return f"{self.instance}\n{self.database}\n"


@dataclass(frozen=True)
class Reservations:
    """One file for each prefix, which holds the claim."""

    folder: Path = FOLDER

    def choose(self, taken: Iterable[IPv4Network], claim: Claim) -> IPv4Network:
        """A free prefix, reserved from now on. Raises `PrefixesTaken`.

        One that a stopped PaaS has is given away when no other is left.
        """
        with FileLock(self.folder / "lock"):
            routed, others = list(taken), list(self._others(claim))
            try:
                prefix = choose_prefix([*routed, *(one for one, _ in others)], claim.instance)
            except PrefixesTaken:
                starting = [one for one, young in others if young]
                prefix = choose_prefix([*routed, *starting], claim.instance)
            write_atomic(self._path(prefix), str(claim))
        return prefix

    def hold(self, prefix: IPv4Network, claim: Claim) -> None:
        """Its route is there: the claim lasts as long as its database."""
        with FileLock(self.folder / "lock"):
            forget_unfinished(self.folder)
            if not self._has(prefix, claim):
                write_atomic(self._path(prefix), str(claim))

    def release(self, prefix: IPv4Network, claim: Claim) -> None:
        """Give a claim back, unless it is another's by now."""
        with FileLock(self.folder / "lock"):
            forget_unfinished(self.folder)
            if self._has(prefix, claim):
                self._path(prefix).unlink()

    def _path(self, prefix: IPv4Network) -> Path:
        return self.folder / str(prefix.network_address)

    def _has(self, prefix: IPv4Network, claim: Claim) -> bool:
        path = self._path(prefix)
        return path.exists() and path.read_text() == str(claim)

    def _others(self, claim: Claim) -> Iterator[tuple[IPv4Network, bool]]:
        """The prefixes that others claim, and whether they may only just be starting."""
        for path in self.folder.glob("10.*"):
            instance, _, database = path.read_text().partition("\n")
            young = time.time() - path.stat().st_mtime < STARTING_S
            if instance != claim.instance and (young or Path(database.strip()).is_file()):
                yield IPv4Network(f"{path.name}/16"), young
