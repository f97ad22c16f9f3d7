"""What everybody on the server can see of its processes, those in containers too, and their end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.push.outcome import eventually

PAUSE_SECONDS = 0.005
"""Between two looks. What is to be seen has to run for many times as long: a virtual machine."""


@contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """The arguments of all processes that there are meanwhile, each with its zeros."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(FileNotFoundError, ProcessLookupError):
                    seen.add(path.read_bytes())
            if ended.wait(PAUSE_SECONDS):
                return

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone; one that went first is fine."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}/exe").exists())


def children(pid: int) -> list[int]:
    """The direct children of a process, of all its threads; of one that has ended none."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_line(pid: int) -> bytes:
    """The arguments of a process, each with its zero; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
