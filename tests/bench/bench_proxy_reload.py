"""Our reload beside a plain `nginx -s reload`, under clients of every kind.

Each change gives the app another certificate, every second one adds a site. A client that follows
RFC 9112, section 9.3.1, asks again on a new connection when the old one was closed before any
of an answer came, unless what it asks has effects: those that upload begin with a new
connection each time. What cannot be repeated away counts as lost.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paas.model.layout import Layout
from paas.proxy.certificates import self_signed
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.proxy.site import Site, SiteOptions, Tls
from tests.bench.figures import Row, row
from tests.engine.proxied import PORT, TLS_PORT, backend, own_network, own_root, site
from tests.push.outcome import eventually
from tests.push.server import Server

TITLE = "twenty reloads under clients of every kind"
RELOADS = 20
HOST = "hello.test"
KEPT, FRESH, UPLOADS = 3, 1, 2
"""Clients over HTTP, and as many over TLS."""

Change = Callable[[int], object]


class Client(threading.Thread):
    """Asks until told to stop; on one connection, or on a new one when that was closed."""

    def __init__(self, done: threading.Event, *, tls: bool, keeps: bool, size: int = 0) -> None:
        super().__init__()
        self.done, self.tls, self.keeps, self.size = done, tls, keeps, size
        self.answered = self.lost = self.again = 0
        self.slowest = 0.0

    def connection(self) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        connection = http.client.HTTPSConnection(
            HOST, TLS_PORT, timeout=20, context=_any_certificate()
        )
        # The name is asked for in the handshake, and leads nowhere.
        connection._create_connection = _to_loopback  # type: ignore[attr-defined]
        return connection

    def pieces(self) -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.05)
            yield b"x" * (self.size // 8)

    def run(self) -> None:
        connection = self.connection()
        headers = {"Host": HOST} | ({"Content-Length": str(self.size)} if self.size else {})
        while not self.done.is_set():
            began = time.perf_counter()
            for last in (False, True) if self.keeps else (True,):
                try:
                    body = self.pieces() if self.size else None
                    connection.request("POST" if self.size else "GET", "/", body, headers)
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
            if not self.keeps:
                connection.close()
        connection.close()


def _to_loopback(address: tuple[str, int], *rest: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", address[1]), *rest)


def measure(_: Server) -> Sequence[Row]:
    """First ours, which waits until it is done, then nginx's own signal."""
    with own_network(), own_root() as layout, backend("one"):
        proxy = Proxy(layout, lambda: Listening(http_port=PORT, https_port=TLS_PORT))
        proxy.start()
        try:
            proxy.apply(_sites(proxy, 0))
            ours = _under_load(lambda number: proxy.apply(_sites(proxy, number)))
            plain = _under_load(lambda _: _plain(layout, proxy))
        finally:
            proxy.stop()
    return [*_rows("ours", ours), *_rows("plain", plain)]


def _sites(proxy: Proxy, number: int) -> list[Site]:
    """With another certificate each time, and another site every second time."""
    pair = self_signed([HOST], time.time())
    proxy.pairs.keep(pair)
    mark = pair.certificate.fingerprint
    tls = Tls((HOST,), proxy.pairs.chain_file(mark), proxy.pairs.key_file(mark))
    options = SiteOptions(https_redirect=False)
    return [site(tls=(tls,), options=options), site(f"app{(number + 1) // 2}")]


def _plain(layout: Layout, proxy: Proxy) -> None:
    """The same change, and the signal, as a script would do it."""
    pair = self_signed([HOST], time.time())
    proxy.pairs.keep(pair)
    site_file = layout.proxy / "current/sites/hello.conf"
    changed = re.sub(r"[0-9a-f]{64}", pair.certificate.fingerprint, site_file.read_text())
    site_file.unlink()  # it may be a link to that of an earlier generation
    site_file.write_text(changed)
    os.kill(_master(layout), signal.SIGHUP)
    eventually(lambda: _served() == pair.certificate.fingerprint)


def _served() -> str:
    """The fingerprint of the certificate that the site answers with."""
    context = _any_certificate()
    with (
        socket.create_connection(("127.0.0.1", TLS_PORT), timeout=20) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _master(layout: Layout) -> int:
    return int((layout.run / "proxy/nginx.pid").read_text())


def _under_load(change: Change) -> list[Client]:
    done, clients = threading.Event(), []
    for tls in (False, True):
        clients += [Client(done, tls=tls, keeps=True) for _ in range(KEPT)]
        clients += [Client(done, tls=tls, keeps=False) for _ in range(FRESH)]
        clients += [Client(done, tls=tls, keeps=False, size=80_000) for _ in range(UPLOADS)]
    for client in clients:
        client.start()
    try:
        for number in range(1, RELOADS + 1):
            change(number)
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
