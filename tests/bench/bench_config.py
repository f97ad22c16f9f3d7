"""How long until a changed config var is served, and whether a request is lost meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence

from tests.bench.figures import Row, row
from tests.bench.sample import APP, boot_seconds, version
from tests.bench.visitor import Visitor
from tests.push import apps
from tests.push.outcome import eventually
from tests.push.server import DOMAIN, Server

TITLE = "config:set"
ROUNDS = 6
TARGET = 0.5
HTTP_OK = 200


class Guest(threading.Thread):
    """Asks again and again, each time over a connection of its own; counts what fails."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._over = threading.Event()
        self.requests = self.failed = 0

    def run(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", "/", headers={"Host": f"{APP}.{DOMAIN}"})
                self.failed += connection.getresponse().status != HTTP_OK
            except (OSError, http.client.HTTPException):
                self.failed += 1
            finally:
                connection.close()
            self.requests += 1
            self._over.wait(0.005)

    def leave(self) -> None:
        self._over.set()
        self.join()


def measure(server: Server) -> Sequence[Row]:
    """Change what the app greets, with a guest at the door all the time."""
    repository = server.repository(APP, apps.fixture("hello-flask") | version("config"))
    repository.push("--force", "main").ok()
    boots = [boot_seconds() for _ in range(ROUNDS)]
    guest = Guest(server.http_port)
    guest.start()
    taken = [change(server, f"round{number}") for number in range(ROUNDS)]
    guest.leave()
    floor = row("", boots).median
    return [
        row("the app's own boot, outside", boots),
        row("config:set to the new value served, over ssh", taken),
        row("on top of the boot", [one - floor for one in taken], target=TARGET),
        row(f"failed of {guest.requests} requests meanwhile", [float(guest.failed)], target=0.0),
    ]


def change(server: Server, name: str) -> float:
    """Seconds from starting `config:set` until the new value is served."""
    eventually(lambda: len(server.residue()["containers"]) == 1)
    visitor = Visitor(server.http_port, f"{APP}.{DOMAIN}", f"Hello, {name}!")
    visitor.start()
    began = time.perf_counter()
    server.ssh(f"config:set {APP} NAME={name}").ok()
    visitor.join()
    assert visitor.seen_at is not None, "the new value was never served"
    return visitor.seen_at - began
