"""What everybody on the server can see of its processes, those in containers too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
