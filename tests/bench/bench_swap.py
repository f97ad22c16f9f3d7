"""How many requests fail while ten deploys happen under saturation.

wrk keeps 32 connections busy on loopback; it is stopped when the deploys are done, and by
itself after five minutes.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence

from tests.bench.figures import Row, row
from tests.bench.sample import APP, version
from tests.push import apps
from tests.push.server import DOMAIN, Server

TITLE = "requests during ten deploys"
DEPLOYS = 10
CONNECTIONS = 32
LIMIT = "300s"


def measure(server: Server) -> Sequence[Row]:
    """Deploy ten times under load and count."""
    repository = server.repository(APP, apps.fixture("hello-flask"))
    repository.push("--force", "main").ok()
    load = subprocess.Popen(
        ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", LIMIT, "--latency",
         "-H", f"Host: {APP}.{DOMAIN}", f"http://127.0.0.1:{server.http_port}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for number in range(DEPLOYS):
            repository.commit(version(f"swap-{number}"))
            repository.push().ok()
    finally:
        load.send_signal(signal.SIGINT)
        output = load.communicate()[0].decode()
    requests = int(_found(r"(\d+) requests in", output))
    return [
        row("requests", [requests], unit=""),
        row("failed", [failures(output)], unit="", target=0),
    ]


def failures(output: str) -> int:
    """Socket errors and answers other than 2xx and 3xx, as wrk reports them."""
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    sockets = sum(int(count) for count in errors.groups()) if errors else 0
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return sockets + (int(wrong[1]) if wrong else 0)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]
