"""Which PaaS of this host has chosen which prefix, before there is a route to see it by.

Two that start at the same time would both find the same network free.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from paas.engine.network.addresses import choose_prefix
from paas.host.files import FileLock, forget_unfinished, write_atomic

FOLDER = Path("/run/paas-networks")
"""Shared by every PaaS of the host, and gone with what it is about at a reboot."""

STARTING_S = 10.0
"""How long the choice of one that never came up counts."""


@dataclass(frozen=True)
class Reservations:
    """One file for each prefix, which names the instance that has it."""

    folder: Path = FOLDER

    def choose(self, taken: Iterable[IPv4Network], instance: str) -> IPv4Network:
        """A free prefix, reserved for `instance` from now on. Raises `PrefixesTaken`."""
        with FileLock(self.folder / "lock"):
            prefix = choose_prefix([*taken, *self._others(instance)], instance)
            write_atomic(self.folder / str(prefix.network_address), instance)
        return prefix

    def release(self, prefix: IPv4Network, instance: str) -> None:
        """There is a route now, which every other PaaS sees."""
        path = self.folder / str(prefix.network_address)
        with FileLock(self.folder / "lock"):
            forget_unfinished(self.folder)
            if path.exists() and path.read_text() == instance:
                path.unlink()

    def _others(self, instance: str) -> list[IPv4Network]:
        return [
            IPv4Network(f"{path.name}/16")
            for path in self.folder.glob("10.*")
            if path.read_text() != instance and time.time() - path.stat().st_mtime < STARTING_S
        ]
