"""What containers are made of, in the words of `docker run`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.cli.parsing import Misused
from paas.engine.devices import Device
from paas.model.names import shown
from paas.model.processes import UNITS

_SIZED = re.compile(r"(?P<path>/[^:]*)(?::size=(?P<size>[0-9]+[kmgKMG]?))?")
_ULIMIT = re.compile(r"(?P<name>[a-z]+)=(?P<soft>[0-9]+)(?::(?P<hard>[0-9]+))?")
_DEVICE = re.compile(r"(?P<path>/dev/[^:]+)(?::(?P<access>[rwm]{1,3}))?")
TMPFS_BYTES = 64 << 20
"""Of a tmpfs without a size; Docker's is half of the machine's memory."""


@dataclass(frozen=True)
class VolumeWords:
    """A volume's name or a directory of the server, and where it is seen."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_directory(self) -> bool:
        return self.source.startswith("/")


def volume(text: str) -> VolumeWords:
    """`NAME:/PATH[:ro]` or `/DIRECTORY:/PATH[:ro]`."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise Misused(f"{shown(text)} is not of the form VOLUME:/PATH[:ro]")
    return VolumeWords(source, target, mode == "ro")


def size(text: str) -> int:
    """`64m` in bytes; a bare number is of megabytes, as everywhere else here."""
    found = re.fullmatch(r"([0-9]{1,9})([kmgt]?)", text.lower())
    if found is None or not int(found[1]):
        raise Misused(f"{shown(text)} is not a size like 64m")
    return int(found[1]) * UNITS[found[2]]


def tmpfs(text: str) -> tuple[str, int]:
    """`/PATH[:size=64m]`: path and bytes."""
    found = _SIZED.fullmatch(text)
    if found is None:
        raise Misused(f"{shown(text)} is not of the form /PATH[:size=64m]")
    return found["path"], size(found["size"]) if found["size"] else TMPFS_BYTES


def ulimit(text: str) -> tuple[str, tuple[int, int]]:
    """`nofile=1024[:2048]`: name, soft and hard."""
    found = _ULIMIT.fullmatch(text)
    if found is None:
        raise Misused(f"{shown(text)} is not of the form NAME=SOFT[:HARD]")
    soft = int(found["soft"])
    return found["name"], (soft, int(found["hard"]) if found["hard"] else soft)


def device(text: str) -> Device:
    """`/dev/fuse[:rwm]`."""
    found = _DEVICE.fullmatch(text)
    if found is None:
        raise Misused(f"{shown(text)} is not of the form /dev/NAME[:rwm]")
    return Device(Path(found["path"]), found["access"] or "rwm")


def pairs(texts: Iterable[str]) -> Mapping[str, str]:
    """`KEY=VALUE`, each."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Misused(f"{shown(text)} is not of the form KEY=VALUE")
        found[key] = value
    return found
