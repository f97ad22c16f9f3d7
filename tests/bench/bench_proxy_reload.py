"""Our reload beside a plain `nginx -s reload`, under clients that keep their connections.

A client that follows RFC 9112, section 9.3.1, asks again on a new connection when the old one
was closed before any of an answer came; what it can never repeat away counts as lost.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

from paas.model.layout import Layout
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from tests.bench.figures import Row, row
from tests.engine.proxied import PORT, backend, own_network, own_root, site
from tests.push.server import Server

TITLE = "ten reloads under eight keep-alive clients"
CLIENTS, RELOADS = 8, 10


class Client(threading.Thread):
    """Asks on one connection until told to stop; a new one when that was closed."""

    def __init__(self, done: threading.Event) -> None:
        super().__init__()
        self.done, self.answered, self.lost, self.again = done, 0, 0, 0
        self.slowest = 0.0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        while not self.done.is_set():
            began = time.perf_counter()
            for last in (False, True):
                try:
                    connection.request("GET", "/", headers={"Host": "hello.test"})
                    answer = connection.getresponse()
                    answer.read()
                    self.answered += answer.status == 200
                    self.lost += answer.status != 200
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()
                    self.lost += last
                    self.again += not last
            self.slowest = max(self.slowest, time.perf_counter() - began)
        connection.close()


def measure(_: Server) -> Sequence[Row]:
    """First ours, which waits until it is done, then nginx's own signal."""
    with own_network(), own_root() as layout, backend("one"):
        proxy = Proxy(layout, lambda: Listening(http_port=PORT))
        proxy.start()
        try:
            proxy.apply([site()])
            changes = iter(range(RELOADS))
            ours = _under_load(lambda: proxy.apply([site(), site(f"app{next(changes)}")]))
            master = _master(layout)
            plain = _under_load(lambda: _signalled(master))
        finally:
            proxy.stop()
    return [*_rows("ours", ours), *_rows("plain", plain)]


def _signalled(master: int) -> None:
    os.kill(master, signal.SIGHUP)
    time.sleep(0.3)


def _master(layout: Layout) -> int:
    return int((layout.run / "proxy/nginx.pid").read_text())


def _under_load(reload: Callable[[], object]) -> list[Client]:
    done = threading.Event()
    clients = [Client(done) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(RELOADS):
            reload()
    finally:
        done.set()
        for client in clients:
            client.join()
    return clients


def _rows(name: str, clients: Sequence[Client]) -> list[Row]:
    return [
        row(f"{name}: requests", [sum(each.answered for each in clients)], unit=""),
        row(f"{name}: lost", [sum(each.lost for each in clients)], unit="", target=0),
        row(f"{name}: asked again", [sum(each.again for each in clients)], unit=""),
        row(f"{name}: slowest request", [max(each.slowest for each in clients)]),
    ]
