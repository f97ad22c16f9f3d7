"""What a URL that somebody named may reach: a real server on loopback says it was not asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from paas.deploy.outbound import HttpFailed, NotPublic, check_address, download
from tests.ports import free_port

asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/inside")
        self.end_headers()
        self.wfile.write(b"the secret")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1%eth0",
     "::ffff:127.0.0.1", "fd00::1", "100.64.0.1", "224.0.0.1"],
)  # fmt: skip
def test_addresses_of_the_inside_are_refused_unless_their_host_is_allowed(address: str) -> None:
    with pytest.raises(NotPublic, match=r"git\.example has the address") as caught:
        check_address("git.example", address, frozenset())
    assert "git:allow-host git.example" in caught.value.resolution
    check_address("git.example", address, frozenset({"git.example"}))


def test_a_public_address_needs_no_leave() -> None:
    check_address("git.example", "93.184.215.14", frozenset())


def test_a_token_in_a_url_is_not_told() -> None:
    with pytest.raises(HttpFailed, match="could not be read") as caught:
        url = f"http://s3cr3t@127.0.0.1:{free_port()}/x?token=s3cr3t"
        download(url, frozenset({"127.0.0.1"}), lambda _: None)
    assert "s3cr3t" not in str(caught.value)


def test_no_byte_is_sent_to_what_is_refused(port: int) -> None:
    with pytest.raises(NotPublic):
        download(f"http://127.0.0.1:{port}/", frozenset(), lambda _: None)
    assert asked == []


def test_a_redirect_to_the_inside_is_not_followed(port: int) -> None:
    with pytest.raises(NotPublic):
        download(f"http://127.0.0.1:{port}/away", frozenset({"127.0.0.1"}), lambda _: None)
    assert asked == ["/away"]


def test_what_is_allowed_is_read(port: int) -> None:
    pieces: list[bytes] = []
    download(f"http://127.0.0.1:{port}/file", frozenset({"127.0.0.1"}), pieces.append)
    assert b"".join(pieces) == b"the secret"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "nonsense", ""])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(HttpFailed, match="not a URL of http"):
        download(url, frozenset(), lambda _: None)


NOWHERE = "http://127.0.0.1:1"
"""A proxy that does not answer."""


@pytest.mark.parametrize("kept_out", ["*", "x, 127.0.0.1", "127.0.0.1:{port}"])
def test_what_needs_no_proxy_is_read_without(
    port: int, kept_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, allowed = f"http://127.0.0.1:{port}/file", frozenset({"127.0.0.1"})
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    with pytest.raises(HttpFailed, match="could not be read"):
        download(url, allowed, lambda _: None)
    assert asked == []
    monkeypatch.setenv("no_proxy", kept_out.format(port=port))
    download(url, allowed, lambda _: None)
    assert asked == ["/file"]
