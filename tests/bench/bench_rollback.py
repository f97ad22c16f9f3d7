"""How long until the previous release is back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.bench.figures import Row, row
from tests.bench.sample import APP, boot_seconds, version
from tests.bench.visitor import Visitor
from tests.push import apps
from tests.push.outcome import eventually
from tests.push.server import DOMAIN, Server

TITLE = "rollback"
ROUNDS = 6
TARGET = 1.0


def measure(server: Server) -> Sequence[Row]:
    """Go back and forth between two releases."""
    repository = server.repository(APP, apps.fixture("hello-flask") | version("left"))
    repository.push("--force", "main").ok()
    repository.commit(version("right"))
    repository.push().ok()
    boots = [boot_seconds() for _ in range(ROUNDS)]
    taken = [back(server, "left" if number % 2 == 0 else "right") for number in range(ROUNDS)]
    floor = row("", boots).median
    return [
        row("the app's own boot, outside", boots),
        row("rollback to live, over ssh", taken),
        row("on top of the boot", [one - floor for one in taken], target=TARGET),
    ]


def back(server: Server, text: str) -> float:
    """Seconds from starting `rollback` until the other version is served.

    Begins when the instance before is gone: nginx may still hold connections to it.
    """
    eventually(lambda: len(server.residue()["containers"]) == 1)
    visitor = Visitor(server.http_port, f"{APP}.{DOMAIN}", f"version {text}")
    visitor.start()
    began = time.perf_counter()
    server.ssh(f"rollback {APP}").ok()
    visitor.join()
    assert visitor.seen_at is not None, "the previous release was never served"
    return visitor.seen_at - began
