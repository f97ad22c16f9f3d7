"""A real nginx in a network namespace of its own, and instances behind it, for tests."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paas.host import syscalls
from paas.host.files import remove_tree
from paas.model.layout import Layout
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.proxy.site import Site

CLONE_NEWNET = 0x40000000
SLOTS = tuple(f"127.0.1.{k}" for k in range(1, 9))
OTHER_SLOTS = tuple(f"127.0.2.{k}" for k in range(1, 9))
PORT, TLS_PORT = 8081, 8444


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked, as JSON."""

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        told = {
            "name": self.name,
            "headers": {key.lower(): value for key, value in self.headers.items()},
            "length": len(self.rfile.read(length)),
            "path": self.path,
        }
        body = json.dumps(told).encode()
        self.send_response(502 if self.path == "/own-502" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 (the name http.server calls)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def backend(name: str, addresses: tuple[str, ...] = SLOTS, **methods: Any) -> Iterator[None]:
    """One instance behind some of the slots."""
    handler = type("Named", (Echo,), {"name": name, **methods})
    with ExitStack() as stack:
        for address in addresses:
            server = stack.enter_context(ThreadingHTTPServer((address, 80), handler))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,)).start()
            stack.callback(server.shutdown)
        yield


@contextmanager
def own_network() -> Iterator[None]:
    """No port of this machine is in the way, and none of ours in anybody's."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    syscalls.unshare(CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        syscalls.setns(home, CLONE_NEWNET)
        os.close(home)


@contextmanager
def own_root() -> Iterator[Layout]:
    """pytest's own directories let nobody pass, and workers must."""
    root = Path(tempfile.mkdtemp(prefix="paas-proxy-"))
    root.chmod(0o711)
    layout = Layout.at(root)
    try:
        yield layout
    finally:
        remove_tree(root)
        remove_tree(layout.run)


@contextmanager
def running(
    layout: Layout, listening: Callable[[], Listening] = lambda: Listening(http_port=PORT)
) -> Iterator[Proxy]:
    """The proxy of a root, started, for as long as the block lasts."""
    proxy = Proxy(layout, listening)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


class Answer(tuple[int, bytes]):
    """Status and body, and the headers beside them."""

    headers: http.client.HTTPMessage

    @property
    def status(self) -> int:
        return self[0]

    @property
    def body(self) -> bytes:
        return self[1]

    @property
    def told(self) -> dict[str, Any]:
        """What `Echo` says that it was asked."""
        found: dict[str, Any] = json.loads(self[1])
        return found


def ask(
    host: str,
    path: str = "/",
    method: str = "GET",
    body: bytes = b"",
    *,
    port: int = PORT,
    **headers: str,
) -> Answer:
    """One request through the proxy. Raises `RemoteDisconnected` for a closed connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Host": host, **headers})
    response = connection.getresponse()
    answer = Answer((response.status, response.read()))
    answer.headers = response.headers
    connection.close()
    return answer


def raw(data: bytes, *, port: int = PORT, seconds: float = 10) -> bytes:
    """What comes back for these very bytes until the proxy closes, or is silent for `seconds`."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        got = b""
        try:
            while chunk := connection.recv(65536):
                got += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return got


def refuses(port: int) -> bool:
    """Whether nobody listens there. Old workers close what they have a moment after a reload."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


def site(app: str = "hello", **changes: Any) -> Site:
    given: dict[str, Any] = {"domains": (f"{app}.test",), "slots": SLOTS, **changes}
    return Site(app=app, **given)
