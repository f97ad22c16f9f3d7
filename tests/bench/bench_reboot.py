"""How long after a reboot until fifty small apps serve again.

All that a reboot takes away is taken away: processes, mounts, /run, network, control groups.
The machine's own start is not in it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figures import Row, row
from tests.push import apps
from tests.push.outcome import eventually
from tests.push.server import Server
from tests.push.test_crash import reboot

TITLE = "reboot with 50 apps"
APPS = 50
TARGET = 20.0


def measure(server: Server) -> Sequence[Row]:
    """Fifty apps of one image, each with instances of its own."""
    server.push("small", apps.plain("small")).ok()
    names = ["small", *(f"small{number}" for number in range(1, APPS))]
    for name in names[1:]:
        server.ssh(f"apps:clone small {name}").ok()
    eventually(lambda: all_served(server, names))
    reboot(server)
    began = time.perf_counter()
    server.up()
    started = time.perf_counter() - began
    eventually(lambda: all_served(server, names))
    served = time.perf_counter() - began
    for name in names:
        server.paas("apps:destroy", name, "--force").ok()
    return [
        row("until paas up returned", [started]),
        row(f"until all {APPS} apps served", [served], target=TARGET),
    ]


def all_served(server: Server, names: Sequence[str]) -> bool:
    with ThreadPoolExecutor(8) as pool:
        return all(pool.map(lambda name: server.serves(name, "hello small"), names))
