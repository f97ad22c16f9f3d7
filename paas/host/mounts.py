"""What is mounted where: the file system that a path is on, and how those below one are mounted.

Source: proc(5), mountinfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mounted:
    """A file system: its kind (`ext4`), what it is on, and where it is mounted."""

    kind: str
    device: str
    point: Path


def of(path: Path, table: str | None = None) -> Mounted:
    """The file system of `path`, which need not be there, by the text of mountinfo."""
    place = path.resolve()
    found = Mounted("", "", Path("/"))
    for line in (table or TABLE.read_text()).splitlines():
        fields, _, tail = line.partition(" - ")
        point = Path(_plain(fields.split(" ")[4]))
        # The last one there hides those before.
        if place.is_relative_to(point) and len(point.parts) >= len(found.point.parts):
            kind, device = tail.split(" ")[:2]
            found = Mounted(kind, _plain(device), point)
    return found


def options(kind: str, below: Path, table: str | None = None) -> Iterator[dict[str, str]]:
    """The options of each file system of a kind that is mounted below a path, as the file system
    itself tells them; "" is what one without a value has.
    """
    place = below.resolve()
    for line in (table or TABLE.read_text()).splitlines():
        fields, _, tail = line.partition(" - ")
        found, _, own = tail.split(" ", 2)
        if found == kind and Path(_plain(fields.split(" ")[4])).is_relative_to(place):
            pairs = (option.partition("=") for option in own.split(","))
            yield {name: _plain(value) for name, _, value in pairs}


def _plain(text: str) -> str:
    """Spaces and their like are written in octal: `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
