"""Bad input and broken parts in front of a real nginx: smuggling, slow clients, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from paas.errors import PaasError
from paas.host.identity import Identity
from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.proxy.listening import Listening
from paas.proxy.program import installed
from paas.proxy.proxy import Proxy
from paas.proxy.site import SiteOptions, SiteState
from tests.engine.proxied import PORT, SLOTS, ask, backend, own_network, own_root, raw, site


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


@pytest.fixture(scope="module")
def running(layout: Layout) -> Iterator[Proxy]:
    """With a program of its own, which may be replaced."""
    proxy, program = Proxy(layout, lambda: Listening(http_port=PORT)), layout.root / "nginx"
    shutil.copy2(installed(), program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("paas.proxy.program.installed", lambda: str(program))
        proxy.start()
        yield proxy
        proxy.stop()


@pytest.fixture
def proxy(running: Proxy) -> Iterator[Proxy]:
    with backend("one"):
        running.apply([site()])
        yield running


def test_an_address_that_the_machine_does_not_have_is_named() -> None:
    """As of data that come from another one."""
    with own_network(), own_root() as elsewhere:
        proxy = Proxy(elsewhere, lambda: Listening(address="203.0.113.7", http_port=PORT))
        with pytest.raises(PaasError, match="nginx refuses") as caught:
            proxy.start()
    assert f"203.0.113.7:{PORT} failed" in caught.value.details[0]
    assert caught.value.resolution.endswith("paas up --http-address ADDRESS")


def status_of(answer: bytes) -> int:
    """0 for a closed connection."""
    return int(answer.split(b" ")[1]) if answer else 0


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: hello.test\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5,5\r\n",
        b"Content-Length: -1\r\n",
        b"Host: other.test\r\n",
        b"X: a\x00b\r\n",
    ],
)
def test_a_request_of_two_meanings_reaches_no_app(proxy: Proxy, headers: bytes) -> None:
    """Where ends are ambiguous a second request could hide in the first (RFC 9112, 11.2)."""
    got = raw(b"POST / HTTP/1.1\r\nHost: hello.test\r\n" + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert status_of(got) in {0, 400, 501}
    assert b"smuggled" not in got


@pytest.mark.parametrize(
    ("request_line", "host"),
    [
        (b"GET / HTTP/1.1", b""),
        (b"GET / HTTP/1.1", b"Host: \r\n"),
        (b"GET / HTTP/1.1", b"Host: hello.test/../x\r\n"),
        (b"GET / HTTP/1.1", b"Host: hello.test@evil.test\r\n"),
        (b"GET / HTTP/1.1", b"Host: hello.test evil.test\r\n"),
        (b"GET http://evil.test/ HTTP/1.1", b"Host: hello.test\r\n"),
        (b"GET /a b HTTP/1.1", b"Host: hello.test\r\n"),
        (b"GET / HTTP/9.9", b"Host: hello.test\r\n"),
        (b"G\x01T / HTTP/1.1", b"Host: hello.test\r\n"),
        (b"CONNECT hello.test:80 HTTP/1.1", b"Host: hello.test\r\n"),
        (b"TRACE / HTTP/1.1", b"Host: hello.test\r\n"),
    ],
)
def test_a_request_for_no_host_of_ours_reaches_no_app(
    proxy: Proxy, request_line: bytes, host: bytes
) -> None:
    got = raw(request_line + b"\r\n" + host + b"Connection: close\r\n\r\n")
    assert status_of(got) in {0, 400, 405, 505}


def test_ten_megabytes_of_headers_are_refused_early(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: hello.test\r\n")
        with suppress(ConnectionError):
            for number in range(10_000):
                client.sendall(b"X-%d: " % number + b"x" * 1000 + b"\r\n")
        with suppress(ConnectionError):
            assert status_of(client.recv(4096)) == 400
    assert ask("hello.test")[0] == 200
    got = raw(b"GET / HTTP/1.1\r\nHost: hello.test\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
    assert status_of(got) == 400


def test_slow_and_half_open_clients_keep_nobody_waiting(proxy: Proxy) -> None:
    """Slowloris: each holds one of thousands of connections, and no worker."""
    slow = [socket.create_connection(("127.0.0.1", PORT), timeout=60) for _ in range(300)]
    try:
        for number, client in enumerate(slow):
            client.sendall(b"GET / HTTP/1.1\r\nHost: hel"[: 1 + number % 20])
            if number % 3 == 0:
                client.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        assert [ask("hello.test")[0] for _ in range(20)] == [200] * 20
        assert time.monotonic() - begun < 60
    finally:
        for client in slow:
            client.close()


class Fickle:
    """An app that answers well, once, and whose connections end in a way of their own."""

    def __init__(self, *ends: str) -> None:
        self.ends = list(ends)
        self.requests: list[bytes] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        listeners = [socket.create_server((address, 80)) for address in SLOTS]
        threads = [threading.Thread(target=self._serve, args=(each,)) for each in listeners]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for listener in listeners:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for thread in threads:
                thread.join()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                with suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            self.requests.append(request.split(b" ")[0])
            end = self.ends.pop(0) if self.ends else "well"
            if end == "dies":
                return
            if end == "vanishes":
                connection.settimeout(60)
                connection.recv(1)  # open, and nobody there, until nginx gives it up
                return
            body = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
            connection.sendall(body[:-5] if end == "half" else body)
            if end in ("half", "closes"):
                return


def test_an_instance_that_dies_with_a_request_is_replaced_by_another(running: Proxy) -> None:
    fickle = Fickle("dies", "dies")
    with fickle.listening():
        running.apply([site()])
        # Connections to who listened before are kept for a moment.
        assert wait_until(lambda: ask("hello.test") == (200, b"0123456789"), 60)
    assert fickle.requests == [b"GET"] * 3


def test_an_instance_that_vanished_with_its_connections_is_given_up_for_another(
    running: Proxy,
) -> None:
    """Half-open: no FIN tells of its end. What may have had an effect is not sent twice."""
    fickle = Fickle("well", "vanishes", "well", "vanishes")
    with fickle.listening():
        running.apply([site(options=SiteOptions(read_timeout_s=1))])
        assert [ask("hello.test")[0] for _ in range(2)] == [200, 200]
        assert ask("hello.test", method="POST", body=b"x")[0] == 504
    assert fickle.requests == [b"GET", b"GET", b"GET", b"POST"]


def test_what_was_half_answered_is_not_asked_for_twice(running: Proxy) -> None:
    fickle = Fickle("half")
    with fickle.listening():
        running.apply([site()])
        got = raw(b"GET / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\n\r\n")
    assert got.endswith(b"01234")
    assert fickle.requests == [b"GET"]


def test_a_post_after_the_app_has_closed_an_idle_connection_is_served(running: Proxy) -> None:
    """The app closes each connection behind its answer, without having said so."""
    fickle = Fickle(*["closes"] * 40)
    with fickle.listening():
        running.apply([site()])
        answers = [ask("hello.test", method=method)[0] for method in ("GET", "POST") * 10]
    assert answers == [200] * 20
    assert len(fickle.requests) == 20


def test_a_killed_worker_is_replaced(proxy: Proxy, layout: Layout) -> None:
    master = int((layout.run / "proxy/nginx.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children")
    before = children.read_text().split()
    for pid in map(int, before):
        with suppress(ProcessLookupError):  # an old one that has just ended
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not set(children.read_text().split()) & set(before), 60)
    assert wait_until(proxy.running, 60)
    assert ask("hello.test")[0] == 200


def test_another_nginx_takes_over_without_losing_a_request(proxy: Proxy, layout: Layout) -> None:
    """What an upgrade of the package does not do for us: the new program, the old sockets."""
    before = int((layout.run / "proxy/nginx.pid").read_text())
    assert not proxy.outdated()
    program = layout.root / "nginx"
    shutil.copy2(program, program.with_suffix(".new"))
    program.with_suffix(".new").replace(program)  # as dpkg does
    assert proxy.outdated()
    done, failed = threading.Event(), []

    def visit() -> None:
        while not done.is_set():
            try:
                if ask("hello.test")[0] != 200:
                    failed.append("status")
            except OSError as error:
                failed.append(repr(error))

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    proxy.upgrade()
    done.set()
    for visitor in visitors:
        visitor.join()
    after = int((layout.run / "proxy/nginx.pid").read_text())
    assert after != before
    assert Path(f"/proc/{after}/exe").samefile(program)
    assert not proxy.outdated()
    assert wait_until(lambda: Identity.of(before) is None, 60)
    assert failed == []
    assert proxy.apply([site(), site("more")]).reloaded
    assert ask("more.test")[0] == 200


def test_a_directory_that_cannot_be_written_changes_nothing(proxy: Proxy, layout: Layout) -> None:
    """A read-only file system, as after an error of the disk."""
    folder = layout.proxy / "generations"
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        with pytest.raises((PaasError, OSError)):
            proxy.apply([site(), site("new")])
        assert ask("hello.test")[0] == 200
    finally:
        subprocess.run(["umount", folder], check=True)
    proxy.apply([site(), site("new")])
    assert ask("new.test")[0] == 200


def test_a_full_disk_changes_nothing(proxy: Proxy, layout: Layout) -> None:
    folder = layout.proxy / "generations"
    current = (layout.proxy / "current").resolve()
    full = layout.root / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k,mode=711", "tmpfs", full], check=True)
    try:
        subprocess.run(["cp", "-a", current, full / current.name], check=True)
        with suppress(OSError), (full / "rest").open("wb", buffering=0) as rest:
            while rest.write(b"x" * 4096):
                pass
        subprocess.run(["mount", "--bind", full, folder], check=True)
        try:
            with pytest.raises((PaasError, OSError)):
                proxy.apply([site(), *(site(f"app{k}") for k in range(20))])
            assert ask("hello.test")[0] == 200
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        subprocess.run(["umount", full], check=True)
    assert proxy.apply([site(), site("new2")]).reloaded


def test_a_site_of_an_app_without_instances_says_so_to_every_method(running: Proxy) -> None:
    running.apply([site(slots=(), state=SiteState.STOPPED)])
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask("hello.test", method=method)[0] == 503
