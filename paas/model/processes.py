"""What can be set for a process type of an app: one table, as of the settings.

A value is looked up for the type of the app, then for all types of the app, then for the
server: the type there, then all types.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from paas.errors import NotFound
from paas.model.limits import MIB, Limits
from paas.model.names import shown
from paas.model.settings import InvalidSetting

T = TypeVar("T")


class UpdateOrder(Enum):
    """Whether a deploy starts the new instances before the old ones stop (Docker's words)."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class Checks(Enum):
    """DISABLED gives up overlap as well: the old instances stop before the new ones start."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class RestartPolicy:
    """When an instance that ended is started again; `most` None means without end."""

    when: str = "always"
    most: int | None = None

    def restarts(self, exit_code: int | None, restarts: int) -> bool:
        """Whether one that ended with `exit_code` (None: nobody knows) after so many
        restarts comes back.
        """
        if self.when == "no" or (self.when == "on-failure" and exit_code == 0):
            return False
        return self.most is None or restarts < self.most


@dataclass(frozen=True)
class ProcessSetting(Generic[T]):
    """One row. `parse` raises `PaasError`."""

    name: str
    parse: Callable[[str], T]
    default: T
    help: str


def _one_of(kind: type[Enum]) -> Callable[[str], Enum]:
    words = [str(each.value) for each in kind]

    def parse(text: str) -> Enum:
        if text not in words:
            raise InvalidSetting(f"{shown(text)} is none of {', '.join(words)}")
        return kind(text)

    return parse


def _update_order(text: str) -> UpdateOrder:
    return UpdateOrder(_one_of(UpdateOrder)(text))


def _checks(text: str) -> Checks:
    return Checks(_one_of(Checks)(text))


def parse_restart_policy(text: str) -> RestartPolicy:
    """`always`, `unless-stopped` (the same here), `no`, `on-failure` or `on-failure:10`."""
    match = re.fullmatch(r"(always|unless-stopped|no|on-failure)(?::([0-9]{1,6}))?", text)
    if match is None or (match[2] and match[1] != "on-failure"):
        raise InvalidSetting(
            f"{shown(text)} is not a restart policy",
            resolution="Use always, unless-stopped, no, on-failure or on-failure:10.",
        )
    when = "always" if match[1] == "unless-stopped" else match[1]
    return RestartPolicy(when, int(match[2]) if match[2] else None)


UNITS = {"b": 1, "k": 1024, "": MIB, "m": MIB, "g": 1024 * MIB, "t": MIB * MIB}
LEAST_MEMORY = 4 * MIB
LEAST_DISK = 16 * MIB
"""Of less, a file system leaves hardly anything."""


def parse_memory(text: str) -> int:
    """Bytes. A bare number is of megabytes, as in Dokku."""
    return _amount(text, LEAST_MEMORY, "memory for a process")


def parse_disk(text: str) -> int:
    """Bytes, in the same words."""
    return _amount(text, LEAST_DISK, "disk for an instance")


def _amount(text: str, least: int, what: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([bkmgt]?)b?", text.lower())
    amount = int(match[1]) * UNITS[match[2]] if match else 0
    if amount < least:
        raise InvalidSetting(
            f"{shown(text)} is not an amount of {what}",
            resolution=f"Write it like 512m or 2g; {least >> 20}m is the least.",
        )
    return amount


def parse_cpus(text: str) -> float:
    """Processors, in fractions: `0.5`, `2`, or `500m` (Kubernetes' thousandths)."""
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)|([0-9]{1,7})m", text)
    cpus = 0.0
    if match is not None:
        cpus = float(match[1]) if match[1] else int(match[2]) / 1000
    if not 0.01 <= cpus <= 1024:
        raise InvalidSetting(
            f"{shown(text)} is not a number of processors",
            resolution="Write it like 0.5 or 2; 0.01 is the least.",
        )
    return cpus


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise InvalidSetting(f"{shown(text)} is not a whole number from {least} to {most}")
        return int(text)

    return parse


parse_cpu_weight = _whole(1, 10_000)
"""A weight of control groups version 2; 100 is the kernel's default."""

STOP_TIMEOUT = ProcessSetting(
    "stop-timeout-seconds",
    _whole(0, 3600),
    30,
    "The time between the stop signal and SIGKILL; 60 at most when the whole server stops",
)
RESTART_POLICY = ProcessSetting(
    "restart-policy",
    parse_restart_policy,
    RestartPolicy(),
    "always, no, on-failure or on-failure:COUNT",
)
UPDATE_ORDER = ProcessSetting(
    "update-order",
    _update_order,
    UpdateOrder.START_FIRST,
    "start-first or stop-first: whether old and new instances overlap in a deploy",
)
CHECKS = ProcessSetting("checks", _checks, Checks.ENABLED, "enabled, disabled or skipped")
MEMORY_LIMIT = ProcessSetting(
    "limit-memory", parse_memory, Limits().memory_bytes, "The most memory; killed above it"
)
CPU_LIMIT: ProcessSetting[float | None] = ProcessSetting(
    "limit-cpu", parse_cpus, None, "The most processors"
)
PIDS_LIMIT = ProcessSetting(
    "limit-pids", _whole(16, 1 << 22), Limits().pids, "The most processes and threads"
)
DISK_LIMIT: ProcessSetting[int | None] = ProcessSetting(
    "limit-disk", parse_disk, None, "The most that it writes outside of its volumes"
)
MEMORY_RESERVE: ProcessSetting[int | None] = ProcessSetting(
    "reserve-memory", parse_memory, None, "Memory that is taken away last when it is short"
)
CPU_RESERVE: ProcessSetting[float | None] = ProcessSetting(
    "reserve-cpu", parse_cpus, None, "The share of processors when they are short"
)

PS_SETTINGS = (STOP_TIMEOUT, RESTART_POLICY, UPDATE_ORDER)
"""Those that `ps:set` changes."""

LIMITS: dict[str, ProcessSetting[Any]] = {
    "memory": MEMORY_LIMIT,
    "cpu": CPU_LIMIT,
    "pids": PIDS_LIMIT,
    "disk": DISK_LIMIT,
}
RESERVATIONS: dict[str, ProcessSetting[Any]] = {"memory": MEMORY_RESERVE, "cpu": CPU_RESERVE}


class UnknownProperty(NotFound):
    """There is no such property of a process type."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"There is no property {shown(name)}", resolution=f"Properties: {', '.join(known)}."
        )
