"""How long until a command on the server answers, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.bench.figures import Row, row, seconds
from tests.push.server import Server, admin_environment

TITLE = "commands on the server"
ROUNDS = 40
TARGET = 0.040


def measure(server: Server) -> Sequence[Row]:
    """Alternate the two, so that both see the same machine."""
    bare, listed = [], []
    for _ in range(ROUNDS):
        bare.append(timed("/usr/bin/python3", "-I", "-S", "-c", "pass"))
        listed.append(timed(*server.command("apps:list")))
    floor = row("", bare).median
    return [
        row("python3 -I -S -c pass", bare),
        row("paas apps:list", listed),
        row("on top of it", [one - floor for one in listed], target=TARGET),
    ]


def timed(*argv: str) -> float:
    """Seconds that a command takes; its failure ends the benchmark."""
    environment = admin_environment()
    return seconds(lambda: subprocess.run(argv, env=environment, capture_output=True, check=True))
