"""The proxy with a real nginx in a network namespace of its own."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.proxy.listening import Listening
from paas.proxy.nginx import NginxFailed
from paas.proxy.proxy import Proxy
from paas.proxy.site import SiteOptions, SiteState
from tests.engine.proxied import PORT, SLOTS, ask, backend, own_network, own_root, running, site
from tests.push.outcome import eventually


@pytest.fixture
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


@pytest.fixture
def proxy(layout: Layout) -> Iterator[Proxy]:
    with running(layout) as proxy:
        yield proxy


def test_a_broken_site_is_quarantined_alone_and_keeps_serving_as_before(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site("good"), site("bad")])
        bad = site("bad", options=SiteOptions(extra="no_such_directive on;"))
        applied = proxy.apply([site("good", domains=("new.test",)), bad, site("third")])
        ((app, reason),) = applied.quarantined
        assert app == "bad"
        assert 'unknown directive "no_such_directive"' in reason
        assert reason.endswith(f"sites/bad.conf:{reason.rpartition(':')[2]}")
        assert [ask(host)[0] for host in ("new.test", "third.test", "bad.test")] == [200, 200, 200]
        mended = proxy.apply([site("good", domains=("new.test",)), site("bad"), site("third")])
        assert mended.quarantined == ()


def test_a_broken_site_whose_domain_changed_is_not_served(proxy: Proxy) -> None:
    """Its old domain may be another app's by now."""
    proxy.apply([site("bad")])
    bad = site("bad", domains=("other.test",), options=SiteOptions(extra="}"))
    assert [app for app, _ in proxy.apply([bad]).quarantined] == ["bad"]
    for host in ("bad.test", "other.test"):
        with pytest.raises(http.client.RemoteDisconnected):
            ask(host)


def test_a_domain_is_served_by_one_app(proxy: Proxy) -> None:
    with backend("one"):
        clash = site("zzz", domains=("free.test", "hello.test"))
        assert proxy.apply([clash, site()]).quarantined == (("zzz", "hello.test belongs to hello"),)
        assert ask("hello.test")[0] == 200


def test_an_unknown_host_gets_a_closed_connection(proxy: Proxy) -> None:
    proxy.apply([site()])
    for host in ("neighbour.test", "127.0.0.1", "hello.test.evil"):
        with pytest.raises(http.client.RemoteDisconnected):
            ask(host)


def test_a_live_site_is_proxied_with_the_client_s_view(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        status, body = ask("hello.test:8081", "/a%20b?c=d", **{"X-Forwarded-For": "6.6.6.6"})
    told = json.loads(body)
    assert status == 200
    assert told["path"] == "/a%20b?c=d"
    headers = told["headers"]
    assert headers["host"] == "hello.test:8081"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(PORT)
    assert "connection" not in headers
    assert len(headers["x-request-id"]) == 32


CLAIMS = {
    "X-Real-IP": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Ssl": "on-666",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Prefix": "/666",
    "X_Forwarded_For": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;proto=https",
    "X-Request-ID": "666",
    "Proxy": "http://evil.test",
}


def test_what_a_client_claims_is_not_passed_on_as_ours(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        headers = json.loads(ask("hello.test", "/", "GET", b"", **CLAIMS)[1])["headers"]
    claimed = set(CLAIMS.values())
    assert {name: value for name, value in headers.items() if value in claimed} == {}


def test_the_app_is_told_the_host_that_it_was_chosen_by(proxy: Proxy) -> None:
    """An absolute request line decides, whatever the Host header says (RFC 9112, 3.2.2)."""
    with backend("one"):
        proxy.apply([site()])
        told = json.loads(ask("evil.test:80", "http://hello.test/")[1])
        with pytest.raises(http.client.RemoteDisconnected):
            ask("hello.test", "http://evil.test/")
    assert told["headers"]["host"] == "hello.test"
    assert told["headers"]["x-forwarded-host"] == "hello.test"


def test_no_tunnel_of_http_2_leads_past_the_proxy(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        told = json.loads(ask("hello.test", Upgrade="h2c", Connection="Upgrade")[1])
    assert "upgrade" not in told["headers"]
    assert "connection" not in told["headers"]


def test_a_websocket_handshake_passes(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        told = json.loads(ask("hello.test", Upgrade="websocket", Connection="Upgrade")[1])
    assert told["headers"]["upgrade"] == "websocket"
    assert told["headers"]["connection"] == "upgrade"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SiteState.EMPTY, b"Nothing here yet"),
        (SiteState.STOPPED, b"stopped"),
        (SiteState.MAINTENANCE, b"Back soon"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_site_without_instances_answers_503(
    proxy: Proxy, state: SiteState, words: bytes, method: str
) -> None:
    proxy.apply([site(slots=(), state=state)])
    status, body = ask("hello.test", "/deep/path", method)
    assert status == 503
    assert words in body


def test_a_dead_app_and_a_large_body_have_pages_and_the_app_s_own_502_has_not(
    proxy: Proxy,
) -> None:
    proxy.apply([site(options=SiteOptions(max_body_bytes=1000))])
    status, body = ask("hello.test", method="POST", body=b"x")
    assert (status, b"does not answer" in body) == (502, True)
    status, body = ask("hello.test", method="POST", body=b"x" * 2000)
    assert (status, b"too large" in body) == (413, True)
    with backend("one"):
        status, body = ask("hello.test", "/own-502")
        assert (status, json.loads(body)["name"]) == (502, "one")
        assert ask("hello.test", "/.paas-pages/crashed.html")[0] == 404


def test_fifty_megabytes_are_not_too_large(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        told = json.loads(ask("hello.test", method="POST", body=bytes(50_000_000))[1])
    assert told["length"] == 50_000_000


def test_a_request_meets_another_slot_when_one_refuses(proxy: Proxy) -> None:
    """Also a POST: it was not sent yet. Slots go round the instances; one of two is dead."""
    with backend("one", SLOTS[1::2]):
        proxy.apply([site()])
        assert {ask("hello.test", method=method)[0] for method in ("GET", "POST") * 16} == {200}


class Breaker:
    """Listens on the slots and closes every connection after it has read a request."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            for address in SLOTS:
                listener = stack.enter_context(socket.create_server((address, 80)))
                thread = threading.Thread(target=self._serve, args=(listener,))
                thread.start()
                stack.callback(thread.join)
                stack.callback(listener.shutdown, socket.SHUT_RDWR)
            yield

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536).split(b" ")[0])


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PATCH", 1), ("GET", 5)])
def test_a_request_with_effects_is_never_sent_twice(proxy: Proxy, method: str, times: int) -> None:
    breaker = Breaker()
    with breaker.listening():
        proxy.apply([site()])
        assert ask("hello.test", method=method, body=b"")[0] == 502
    assert breaker.requests == [method.encode()] * times


def test_upstream_connections_are_reused(proxy: Proxy, layout: Layout) -> None:
    with backend("one"):
        proxy.apply([site()])
        for _ in range(40):
            ask("hello.test")
        found = subprocess.run(
            ["ss", "-Htn", "state", "established", "dst", "127.0.1.0/24"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
    workers = os.cpu_count() or 1
    assert 0 < len(found) <= len(SLOTS) * workers


def test_every_request_is_a_json_line_in_the_app_s_log(proxy: Proxy) -> None:
    with backend("one"):
        proxy.apply([site()])
        ask("hello.test", '/?q="\\', **{"User-Agent": 'odd " agent\\'})
        # nginx logs a request after its answer is out.
        assert wait_until(lambda: bool(proxy.logs.of("hello").read_text()), 60)
    (line,) = proxy.logs.of("hello").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["status"], entry["host"], entry["method"]) == (200, "hello.test", "GET")
    assert entry["agent"] == 'odd " agent\\'


def test_logs_are_rotated_without_losing_a_line(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paas.proxy.applogs.LOG_BYTES", 100)
    with backend("one"):
        proxy.apply([site(), site("gone")])
        ask("gone.test")
        ask("hello.test", "/first")
        proxy.apply([site()])
        assert wait_until(lambda: proxy.logs.of("hello").stat().st_size > 100, 60)
        proxy.rotate_logs(nullcontext(["hello"]))
        log, older = proxy.logs.of("hello"), proxy.logs.of("hello").with_suffix(".log.1")
        assert not proxy.logs.of("gone").exists()
        assert wait_until(log.exists, 60)
        # A worker opens the new file a moment after the master has made it.
        assert wait_until(lambda: ask("hello.test", "/later")[0] == 200 and log.stat().st_size, 60)
    lines = older.read_text().splitlines() + log.read_text().splitlines()
    assert json.loads(lines[0])["uri"] == "/first"
    assert json.loads(lines[-1])["uri"] == "/later"


def test_nothing_is_reloaded_when_nothing_changed(proxy: Proxy) -> None:
    assert proxy.apply([site()]).reloaded
    assert not proxy.apply([site()]).reloaded
    assert proxy.apply([site(), site("other")]).reloaded


def test_when_apply_returns_the_next_request_meets_the_new_configuration(proxy: Proxy) -> None:
    for k in range(5):
        state = SiteState.EMPTY if k % 2 else SiteState.STOPPED
        proxy.apply([site(slots=(), state=state)])
        words = b"Nothing here yet" if k % 2 else b"is stopped"
        answers = [ask("hello.test")[1] for _ in range(30)]
        assert all(words in answer for answer in answers)


def test_a_reload_that_was_missed_is_made_up_for(
    proxy: Proxy, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the rename and the signal: the files are new, nginx is not."""

    class Killed(BaseException):
        pass

    def dies(pid: int, number: int) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", dies)
        with pytest.raises(Killed):
            proxy.apply([site(slots=(), state=SiteState.EMPTY)])
    assert proxy.apply([site(slots=(), state=SiteState.EMPTY)]).reloaded
    assert ask("hello.test")[0] == 503


def kill_master(layout: Layout) -> None:
    master = int((layout.run / "proxy/nginx.pid").read_text())
    pidfd = os.pidfd_open(master)
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in (master, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)


def test_a_killed_nginx_starts_again_with_the_same_sites(proxy: Proxy, layout: Layout) -> None:
    proxy.apply([site(slots=(), state=SiteState.EMPTY)])
    kill_master(layout)
    assert not proxy.running()
    assert proxy.start()
    assert proxy.running()
    assert ask("hello.test")[0] == 503
    assert not proxy.start()


def test_an_nginx_without_its_pid_file_is_found_and_not_started_twice(
    proxy: Proxy, layout: Layout
) -> None:
    """systemd removes the file of a unit whose start took too long; its workers keep the ports."""
    proxy.apply([site(slots=(), state=SiteState.EMPTY)])
    file = layout.run / "proxy/nginx.pid"
    pid = file.read_text()
    file.unlink()
    assert not proxy.start()
    assert file.read_text() == pid
    assert ask("hello.test")[0] == 503


def test_an_apply_while_nginx_is_down_counts_at_its_start(layout: Layout) -> None:
    proxy = Proxy(layout, lambda: Listening(http_port=PORT))
    assert not proxy.apply([site(slots=(), state=SiteState.EMPTY)]).reloaded
    proxy.start()
    try:
        assert ask("hello.test")[0] == 503
    finally:
        proxy.stop()
    assert not proxy.running()


def test_it_starts_on_another_port_with_the_same_sites(layout: Layout) -> None:
    Proxy(layout, lambda: Listening(http_port=PORT + 1)).apply(
        [site(slots=(), state=SiteState.EMPTY)]
    )
    proxy = Proxy(layout, lambda: Listening(http_port=PORT))
    proxy.start()
    try:
        assert ask("hello.test")[0] == 503
    finally:
        proxy.stop()


def test_a_taken_port_is_said(layout: Layout) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        proxy = Proxy(layout, lambda: Listening(address="127.0.0.1", http_port=PORT))
        with pytest.raises(NginxFailed) as caught:
            proxy.start()
    assert "127.0.0.1:8081" in str(caught.value)
    assert "ss -ltnp" in caught.value.resolution


def test_workers_are_nobody_special_and_read_nothing_of_ours(proxy: Proxy, layout: Layout) -> None:
    proxy.apply([site(options=SiteOptions(extra="# a secret"))])
    secret = layout.proxy / "current/sites/hello.conf"
    page = layout.proxy / "current/pages/crashed.html"

    def readable(path: Path) -> bool:
        argv = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "cat", path]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    assert not readable(secret)
    assert readable(page)
    master = int((layout.run / "proxy/nginx.pid").read_text())

    def users() -> set[int]:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return {Path(f"/proc/{child}").stat().st_uid for child in children}

    # One that has just been forked is root's still, and an old one may end meanwhile.
    eventually(lambda: users() == {33})
