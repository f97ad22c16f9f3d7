"""Memory that instances keep when it is short, handed down to them from the top (version 2).

What a group asks to keep counts as far as the group above is kept some itself (cgroup-v2.rst,
"Memory", memory.low), and the groups above the instances' ask for nothing by themselves. So
each of them asks for the sum of what the instances do. Not for `max`: what a group is kept
beyond the wishes below it is shared out among all below where the hierarchy is mounted with
memory_recursiveprot, as systemd does; whoever reserves nothing would then be kept as much as
those that do, and taken from as soon as them.

Version 1 has no such bound: memory.soft_limit_in_bytes is of each group alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.host.cgroups import Cgroups
from paas.host.files import FileLock
from paas.host.processes import run
from paas.model.layout import Layout

LOW = "memory.low"
UNITS = (".slice", ".service")


@dataclass(frozen=True)
class Reserved:
    """The reservations below one subtree; `lock` is held while they are summed up."""

    cgroups: Cgroups
    lock: Path

    @classmethod
    def of(cls, layout: Layout, cgroups: Cgroups) -> Reserved:
        """Those of the PaaS at `layout`."""
        return cls(cgroups, layout.run / "reserved.lock")

    def by(self, name: str) -> int:
        """Bytes that an instance reserves; 0 where nobody hands them down, or it is none."""
        if self.cgroups.version == 1:
            return 0
        return sum(_low(directory) for directory in self.cgroups.instance(name).directories)

    def settle(self) -> None:
        """Have every group above the instances ask for what they reserve together."""
        if self.cgroups.version == 1 or not self.cgroups.instances.is_dir():
            return
        with FileLock(self.lock):
            # Summed up anew: no count goes wrong with a process that is killed.
            total = self.total()
            for group in self._above():
                if _low(group) != total and _is_ours(group):
                    _ask(group, total)

    def total(self) -> int:
        """Bytes that all instances reserve together."""
        return sum(_low(path) for path in self.cgroups.instances.iterdir() if path.is_dir())

    def lacking(self) -> list[str]:
        """The groups above the instances that are not kept what those reserve."""
        if self.cgroups.version == 1 or not self.cgroups.instances.is_dir():
            return []
        total = self.total()
        return [group.name for group in self._above() if _low(group) < total]

    def _above(self) -> Iterator[Path]:
        """The groups above the instances, but the root, which keeps nothing from anybody."""
        group = self.cgroups.instances
        while group != self.cgroups.mounts[""]:
            yield group
            group = group.parent


def _is_ours(group: Path) -> bool:
    """A slice that the service was not moved out of yet is systemd's own."""
    return not group.name.endswith(UNITS) or group.name.startswith("paas")


def _ask(group: Path, total: int) -> None:
    if not group.name.endswith(UNITS):
        (group / LOW).write_text(str(total))
        return
    # systemd writes the files of its units' groups itself, whenever it looks at them again
    # (https://systemd.io/CGROUP_DELEGATION, the rule of one writer).
    words = ["set-property", "--runtime", group.name, f"MemoryLow={total}"]
    # No app stays down for it: `lacking` tells, and the supervisor's next round asks again.
    run(["systemctl", *words], check=False)


def _low(group: Path) -> int:
    """Bytes it asks for; none where the controller is not handed down, or it is gone."""
    with suppress(FileNotFoundError):
        text = (group / LOW).read_text().strip()
        return sys.maxsize if text == "max" else int(text)
    return 0
