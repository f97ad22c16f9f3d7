"""Buffers and limits of time, seen from both sides of the proxy; and plain HTTP by IPv6."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.proxy.site import SiteOptions
from tests.engine.proxied import PORT, ask, backend, own_network, own_root, site

SLOTS = ("127.0.3.1",)
PATIENCE_S = 20.0
MUCH = 24 << 20
"""Bytes that no chain of sockets holds, and no buffer in memory."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with own_network(), own_root() as layout:
        proxy = Proxy(layout, lambda: Listening(http_port=PORT))
        proxy.start()
        yield proxy
        proxy.stop()


@contextmanager
def served(proxy: Proxy, options: SiteOptions, **methods: Any) -> Iterator[None]:
    """One instance whose handler has these methods, behind a site with these options."""
    with backend("tuned", SLOTS, **methods):
        assert proxy.apply([site(slots=SLOTS, options=options)]).quarantined == ()
        yield


class Steps:
    """What a handler has come to, and what it waits for."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def respond(self, handler: Any, length: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()


def asking(body: bytes = b"", method: str = "GET", length: int = 0) -> socket.socket:
    """A connection on which a request is, or the beginning of one."""
    client = socket.create_connection(("127.0.0.1", PORT), PATIENCE_S)
    head = f"{method} / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: {length}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def until_closed(data: bytes) -> bytes:
    """What comes back until the proxy closes. Raises `TimeoutError` when it does not."""
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE_S) as client:
        client.sendall(data)
        got = b""
        while chunk := client.recv(65536):
            got += chunk
        return got


def test_an_app_that_answers_too_late_is_given_up(proxy: Proxy) -> None:
    steps = Steps()
    with served(proxy, SiteOptions(read_timeout_s=1), do_GET=lambda _: steps.go_on.wait()):
        answer = ask("hello.test")
        steps.go_on.set()
    assert answer.status == 504
    assert b"This app took too long" in answer.body


def test_a_client_that_stops_in_its_body_is_sent_away(proxy: Proxy) -> None:
    with served(proxy, SiteOptions(body_timeout_s=1)):
        head = b"POST / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: 10\r\n\r\n12345"
        # Without an answer: nobody listens to one.
        assert until_closed(head) == b""


def test_an_idle_connection_is_closed_in_time(proxy: Proxy) -> None:
    with served(proxy, SiteOptions(keepalive_timeout_s=1)):
        answer = until_closed(b"GET / HTTP/1.1\r\nHost: hello.test\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_slow_client_does_not_hold_the_app_unless_buffering_is_off(proxy: Proxy) -> None:
    steps = Steps()

    def give_much(handler: Any) -> None:
        steps.respond(handler, MUCH)
        handler.wfile.write(bytes(MUCH))
        steps.reached.set()

    with served(proxy, SiteOptions(), do_GET=give_much), asking():
        # Nothing of it was read, and the app is free again.
        assert steps.reached.wait(PATIENCE_S)


def test_what_is_answered_bit_by_bit_arrives_so_with_buffering_off(proxy: Proxy) -> None:
    steps = Steps()

    def give_halves(handler: Any) -> None:
        steps.respond(handler, 2)
        handler.wfile.write(b"1")
        handler.wfile.flush()
        assert steps.go_on.wait(PATIENCE_S)
        handler.wfile.write(b"2")

    with served(proxy, SiteOptions(buffering=False), do_GET=give_halves), asking() as client:
        got = b""
        while not got.endswith(b"\r\n\r\n1"):
            got += client.recv(4096)
        steps.go_on.set()
        assert client.recv(4096) == b"2"


def test_an_upload_reaches_the_app_whole_unless_request_buffering_is_off(proxy: Proxy) -> None:
    steps = Steps()

    def take_halves(handler: Any) -> None:
        assert handler.rfile.read(1) == b"1"
        steps.reached.set()
        assert handler.rfile.read(1) == b"2"
        steps.respond(handler, 0)

    with (
        served(proxy, SiteOptions(request_buffering=False), do_POST=take_halves),
        asking(b"1", "POST", 2) as client,
    ):
        assert steps.reached.wait(PATIENCE_S)
        client.sendall(b"2")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    steps.reached.clear()
    with (
        served(proxy, SiteOptions(), do_POST=take_halves),
        asking(b"1", "POST", 2) as client,
    ):
        # The next request is answered while the first is still on its way: to nobody.
        assert ask("hello.test").status == 200
        assert not steps.reached.is_set()
        client.sendall(b"2")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_plain_http_is_answered_by_ipv6_and_the_app_told_so(proxy: Proxy) -> None:
    with served(proxy, SiteOptions()):
        connection = http.client.HTTPConnection("::1", PORT, timeout=PATIENCE_S)
        connection.request("GET", "/", headers={"Host": "hello.test"})
        told = json.loads(connection.getresponse().read())
        connection.close()
    assert told["headers"]["x-forwarded-for"] == "::1"
    assert 'for="[::1]"' in told["headers"]["forwarded"]
