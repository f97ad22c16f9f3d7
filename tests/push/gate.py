"""An authority with moods: HTTPS in front of a pebble, which passes on, refuses, or lies.

pebble makes its URLs from the Host that it is asked for, so clients stay at the gate.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.ports import free_port
from tests.push.pebble import Pebble

KEPT = ("Content-Type", "Replay-Nonce", "Location", "Link", "Retry-After")


@dataclass(frozen=True)
class Reply:
    """What comes back for one request."""

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = ()

    @property
    def is_certificate(self) -> bool:
        kinds = (value for name, value in self.headers if name == "Content-Type")
        return any(kind.startswith("application/pem-certificate-chain") for kind in kinds)


Mood = Callable[[str, str, Reply], Reply]
"""From the path, the payload that was signed and pebble's reply to the one that is given."""


def honest(_path: str, _payload: str, reply: Reply) -> Reply:
    return reply


def limiting(name: str, seconds: int) -> Mood:
    """Refuses orders that name a domain, for a while (RFC 8555, section 6.6)."""

    def mood(path: str, payload: str, reply: Reply) -> Reply:
        if "order" not in path or f'"{name}"' not in payload:
            return reply
        problem = {
            "type": "urn:ietf:params:acme:error:rateLimited",
            "detail": "too many certificates already issued",
        }
        nonce = [each for each in reply.headers if each[0] == "Replay-Nonce"]
        told = [("Retry-After", str(seconds)), ("Content-Type", "application/problem+json")]
        return Reply(429, json.dumps(problem).encode(), [*nonce, *told])

    return mood


def failing(path: str, _payload: str, reply: Reply) -> Reply:
    """Is out of order, as its own web server says."""
    page = Reply(500, b"<h1>Oops</h1>", [("Content-Type", "text/html")])
    return page if "order" in path else reply


def swapping(chain: bytes) -> Mood:
    """Hands out somebody else's certificate."""

    def mood(_path: str, _payload: str, reply: Reply) -> Reply:
        return Reply(reply.status, chain, reply.headers) if reply.is_certificate else reply

    return mood


class Gate:
    """The gate of one pebble; `mood` can be changed at any time."""

    def __init__(self, pebble: Pebble) -> None:
        self.pebble = pebble
        self.mood: Mood = honest
        self.port = free_port()

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Listen while the block runs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pebble.trust, self.pebble.folder / "key.pem")
        handler = type("Passing", (Passing,), {"gate": self})
        with ThreadingHTTPServer(("127.0.0.1", self.port), handler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def passed_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """pebble's reply, in the mood of the moment."""
        context = ssl.create_default_context(cafile=str(self.pebble.trust))
        connection = http.client.HTTPSConnection(
            "localhost", self.pebble.port, timeout=30, context=context
        )
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        kept = [each for each in answer.getheaders() if each[0] in KEPT]
        reply = Reply(answer.status, answer.read(), kept)
        connection.close()
        return self.mood(path, _payload(body), reply)


class Passing(BaseHTTPRequestHandler):
    """One request of a client."""

    gate: Gate
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: self.headers[name] for name in ("Host", "User-Agent")}
        if "Content-Type" in self.headers:
            headers["Content-Type"] = self.headers["Content-Type"]
        reply = self.gate.passed_on(self.command, self.path, headers, body)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_POST = do_GET  # noqa: N815 (the names http.server calls)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _payload(body: bytes) -> str:
    """What a JWS signs (RFC 7515, section 7.2.2)."""
    if not body:
        return ""
    text = json.loads(body)["payload"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
