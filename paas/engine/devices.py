"""Devices of the host that a container is given, one by one: none unless it is asked for.

A user namespace can make no device node, so the runtime binds the host's own; whether the
container's user may open it is for the node's mode to say.
Source: https://github.com/opencontainers/runtime-spec, config-linux.md, section Devices.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.errors import PaasError


class NoSuchDevice(PaasError):
    """What a container was to be given is no device of this host."""


@dataclass(frozen=True)
class Device:
    """A device node of the host; in the container it is at the same path.

    `access` is of `r`, `w` and `m` (mknod), as Docker's `--device` has them.
    """

    path: Path
    access: str = "rwm"


@dataclass(frozen=True)
class Node:
    """What a device's path leads to. `kind` is `c` or `b`."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    access: str

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of `linux.devices`."""
        return {
            "path": self.path,
            "type": self.kind,
            "major": self.major,
            "minor": self.minor,
            "fileMode": self.mode,
        }

    @property
    def rule(self) -> dict[str, Any]:
        """The entry of `linux.resources.devices`."""
        return {
            "allow": True,
            "type": self.kind,
            "major": self.major,
            "minor": self.minor,
            "access": self.access,
        }


def find(devices: Sequence[Device]) -> tuple[Node, ...]:
    """Look the nodes up. Raises `NoSuchDevice`."""
    return tuple(_find(device) for device in devices)


def _find(device: Device) -> Node:
    try:
        status = device.path.stat()
    except OSError as error:
        raise _refusal(device, error.strerror or "") from error
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        mode = stat.S_IMODE(status.st_mode)
        return Node(str(device.path), kind, major, minor, mode, device.access)
    raise _refusal(device, "it is no device")


def _refusal(device: Device, reason: str) -> NoSuchDevice:
    return NoSuchDevice(
        f"The device {device.path} cannot be given to a container: {reason}",
        resolution="Name a node below /dev that exists on this host.",
    )
