"""The processes of a container, from outside: nothing has to be installed in it.

Source: proc(5), /proc/PID/stat, status and cmdline.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_COMMAND = 4096
"""Characters of a command line that are shown."""


@dataclass(frozen=True)
class Process:
    """One process. `pid` is the host's, `inner_pid` the container's; so are `uid` and
    `inner_uid` (None for an id that the container has none for). Times in seconds."""

    pid: int
    inner_pid: int
    parent: int
    uid: int
    inner_uid: int | None
    state: str
    cpu_seconds: float
    age_seconds: float
    memory_bytes: int
    command: str


def processes(pids: Iterable[int], base: int, size: int, uptime: float) -> list[Process]:
    """Those of `pids` that still live, the oldest first.

    `base` and `size` are the user id range of the container; `uptime` the machine's.
    """
    found: list[Process] = []
    for pid in pids:
        # Ended in between.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(_process(pid, base, size, uptime))
    return sorted(found, key=lambda process: (-process.age_seconds, process.pid))


def uptime() -> float:
    """Seconds since the machine's start, as /proc/PID/stat counts."""
    return float(Path("/proc/uptime").read_text().split()[0])


def _process(pid: int, base: int, size: int, now: float) -> Process:
    directory = Path(f"/proc/{pid}")
    # The name in parentheses may hold anything: count from behind its last one.
    name, _, rest = (directory / "stat").read_bytes().rpartition(b")")
    fields = rest.split()
    status = _status(directory / "status")
    uid = int(status["Uid"].split()[0])
    words = (directory / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    # A zombie, or a thread of the kernel, has no words: its name then.
    command = words or b"[" + name.partition(b"(")[2] + b"]"
    ticks = os.sysconf("SC_CLK_TCK")
    return Process(
        pid=pid,
        inner_pid=int(status["NSpid"].split()[-1]),
        parent=int(fields[1]),
        uid=uid,
        inner_uid=uid - base if base <= uid < base + size else None,
        state=fields[0].decode(),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / ticks,
        age_seconds=max(0.0, now - int(fields[19]) / ticks),
        memory_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        command=_printable(command.decode("utf-8", "replace")[:MOST_COMMAND]),
    )


def _printable(text: str) -> str:
    """A process names itself: what would move an administrator's cursor is shown escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _status(path: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in path.read_text("utf-8", "replace").splitlines())
    return {key: value.strip() for key, _, value in pairs}
