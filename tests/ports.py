"""Ports for the servers of tests.

A port that the kernel chose is free only for a moment: it gives it to the next connection of
anybody, and to the next test that asks.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

PORTS = range(20_000, 32_000)
"""Below those that Linux gives to connections (`ip_local_port_range`)."""

LAST = Path(tempfile.gettempdir()) / f"paas-test-ports-{os.getuid()}"
"""Holds the port that was given last, to whichever test."""


def free_port() -> int:
    """A TCP and UDP port that nobody listens on, and that no other test is given soon."""
    with LAST.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or PORTS[-1])
        port = next(port for port in _after(last) if _is_free(port))
        file.truncate(0)
        file.write(str(port))
    return port


def _after(last: int) -> list[int]:
    at = PORTS.index(last) + 1
    return [*PORTS[at:], *PORTS[:at]]


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("", port))
    except OSError:
        return False
    return True
