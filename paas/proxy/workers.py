"""nginx's worker processes, as /proc shows them, above all those that outlive their master."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from paas.host.ports import held_sockets
from paas.host.waiting import wait_until

QUIT_S = 5.0
"""How long a graceful stop may take before requests under way are cut off."""


def children(pid: int) -> list[int]:
    """The processes that one has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def accepts(worker: int) -> bool:
    """Whether a worker of the old generation may still accept connections.

    It changes its title just before it closes the listening sockets.
    """
    title = _title(worker)
    return title.startswith(b"nginx: worker process") and b"shutting down" not in title


def end_orphans(error_log: Path) -> None:
    """Have what a killed master has left let go of the ports; it finishes its requests.

    Titles do not say whose they are, the log that they write to does. What hangs is killed. A
    worker that has only just been forked is called like its master, and is told all the same: it
    looks at its signals when it is one.
    """
    ports = {Path(f"socket:[{inode}]") for inode in held_sockets()}
    orphans = [pid for pid in _nginx() if error_log in _open_files(pid)]

    def holding() -> list[int]:
        return [pid for pid in orphans if not ports.isdisjoint(_open_files(pid))]

    _send(holding(), signal.SIGQUIT)
    if not wait_until(lambda: not holding(), QUIT_S):
        _send(holding(), signal.SIGKILL)
        wait_until(lambda: not holding(), QUIT_S)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _nginx() -> Iterator[int]:
    """Every process of a started nginx of the machine."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return (pid for pid in pids if _title(pid).startswith(b"nginx: "))


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _open_files(pid: int) -> list[Path]:
    found: list[Path] = []
    # Each may be closed, and the process end, between two looks.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(entry.readlink())
    return found
