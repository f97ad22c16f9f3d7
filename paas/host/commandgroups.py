"""The control groups of the daemon's children, each ended whole: its commands, its residents.

They are in the daemon's own service where there is one: what they say is then in the journal
under its name, and they are gone when it is. Elsewhere they are in the subtree of the PaaS.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from paas.host.cgroup import Group
from paas.host.cgroups import Cgroups
from paas.model.layout import Layout

FOLDER = "commands"

LEAF = "master"
"""Where the daemon itself sits in its service: version 2 wants no process beside groups."""

MEMORY_BYTES = 1 << 30
"""Of a command with all that it starts; on a small machine half of what there is."""


@dataclass(frozen=True)
class CommandGroups:
    """One group per child, by name, in `tree`; the name "" is the group of all of them."""

    tree: Cgroups

    @classmethod
    def of(cls, layout: Layout) -> CommandGroups:
        """Those of this process, the daemon, which moves aside if it sits where they belong."""
        cgroups = Cgroups.detect(layout)
        delegated = cgroups.delegated(LEAF)
        if delegated is not None:
            delegated.leaf(LEAF).enter()
        groups = cls(delegated or cgroups)
        groups.tree.hand_down(FOLDER)
        return groups

    def group(self, name: str) -> Group:
        """Where the child `name` and all that it starts live."""
        return self.tree.leaf(f"{FOLDER}/{name}")

    def enter(self, name: str) -> None:
        """Move this process, a child of the daemon, into the group `name`, which is made.

        What it and git may use is limited: a pushed object of some kilobytes can stand for
        gigabytes. Images are built and apps run in groups of their own.
        """
        group = self.group(name)
        group.create()
        for directory in group.directories:
            limit_memory(directory, min(MEMORY_BYTES, physical_memory() // 2))
        group.enter()

    def kill(self, name: str) -> None:
        """End the child `name` and whatever it left behind."""
        self.group(name).remove()
        if not name:
            # With the group of all went what it hands down.
            self.tree.hand_down(FOLDER)


def limit_memory(group: Path, limit: int) -> None:
    """Limit the memory of a group in bytes, swap included; nothing where nobody counts it."""
    for name, value in (
        ("memory.limit_in_bytes", limit),
        ("memory.memsw.limit_in_bytes", limit),
        ("memory.max", limit),
        ("memory.swap.max", 0),
    ):
        # The files that the version has, and swap only if the kernel was told to count it.
        if (group / name).exists():
            (group / name).write_text(str(value))


def physical_memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
