"""What one container may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Throttle:
    """Ceilings for one block device, in bytes or operations per second; None has none."""

    major: int
    minor: int
    read_bytes: int | None = None
    write_bytes: int | None = None
    read_operations: int | None = None
    write_operations: int | None = None


@dataclass(frozen=True)
class Limits:
    """Limits of one control group.

    Weights are those of cgroup v2 (1 to 10000, 100 being the kernel's default); `None`
    leaves the kernel's default. `cpus` is a ceiling in processors, `cpu_set` names those
    it may run on (`0-1,3`). `memory_reserved_bytes` is what it keeps when memory is
    short; `swap_bytes` what it may have swapped out beside `memory_bytes`, None being any.
    `disk_bytes` bounds what it writes outside of its volumes.
    """

    memory_bytes: int = 512 * MIB
    cpus: float | None = None
    pids: int = 512
    io_weight: int | None = None
    cpu_weight: int | None = None
    memory_reserved_bytes: int | None = None
    swap_bytes: int | None = 0
    cpu_set: str = ""
    throttles: tuple[Throttle, ...] = ()
    disk_bytes: int | None = None


BUILD_LIMITS = Limits(memory_bytes=2048 * MIB, pids=4096, io_weight=20, cpu_weight=20)
"""A build yields to the apps that serve, and compilers are larger than what they make."""
