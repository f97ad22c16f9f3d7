"""Whose line of nginx's is whose: one log for each app, whatever a client writes."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from paas.host.files import FileLock
from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.model.port import parse_port
from paas.model.proxysettings import hashed
from paas.model.route import Route
from paas.proxy import logs
from paas.proxy.proxy import Proxy
from paas.proxy.site import Listener, SiteOptions
from tests.engine.proxied import (
    OTHER_SLOTS,
    PORT,
    SLOTS,
    ask,
    backend,
    own_network,
    own_root,
    raw,
    running,
    site,
)

LINE = re.compile(
    r"\d{4}(/\d\d){2} \d\d(:\d\d){2} \[(warn|error|crit)\] \d+#\d+: \*\d+ "
    r".*, client: 127\.0\.0\.1, .*"
)
"""How nginx begins and ends what it says of one request."""

FORGED = (
    "2026/08/01 12:00:00 [error] 1#1: *1 connect() failed (111: Connection refused) while "
    'connecting to upstream, client: 6.6.6.6, server: other.test, request: "GET / HTTP/1.1", '
    'upstream: "http://127.0.2.1:80/", host: "other.test"'
)
"""A line as nginx would write it of another app."""

SECONDS = 30.0


@pytest.fixture
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


@pytest.fixture
def proxy(layout: Layout) -> Iterator[Proxy]:
    with running(layout) as proxy:
        yield proxy


def said_of(proxy: Proxy, app: str) -> list[str]:
    """The lines of an app's error log. nginx writes them before it answers."""
    return proxy.logs.errors_of(app).read_text().splitlines()


def h2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, section 4.1."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def h2_text(text: str) -> bytes:
    """RFC 7541, sections 5.1 and 5.2."""
    length, data = len(text), text.encode()
    if length < 127:
        return bytes([length]) + data
    length -= 127
    octets = bytearray([127])
    while length >= 128:
        octets.append(length % 128 + 128)
        length //= 128
    return bytes([*octets, length]) + data


def ask_h2(port: int, **changes: str) -> None:
    """One request over HTTP/2, whose headers may hold anything; over when it is answered."""
    headers = {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "hello.test"}
    headers |= {name.replace("_", ":", 1): value for name, value in changes.items()}
    block = b"".join(b"\0" + h2_text(name) + h2_text(value) for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b""))
        connection.sendall(h2_frame(1, 5, 1, block))
        with connection.makefile("rb") as frames:
            while len(head := frames.read(9)) == 9:
                frames.read(int.from_bytes(head[:3], "big"))
                if head[3] in (1, 3, 7):  # HEADERS, RST_STREAM, GOAWAY
                    return


# -- failures first ----------------------------------------------------------------------


def test_an_app_without_any_visit_has_an_empty_log_and_one_that_is_no_site_has_none(
    proxy: Proxy,
) -> None:
    proxy.apply([site()])
    assert logs.last(proxy.logs.errors_of("hello"), 10) == b""
    assert not proxy.logs.errors_of("other").exists()


def test_a_client_that_imitates_the_log_writes_no_line_of_another_app(proxy: Proxy) -> None:
    """Nor one of its own: each request that fails is one line, and begins as nginx begins it."""
    grpc = Listener(parse_port("grpc:7500:50051"), ("127.0.6.1",))
    proxy.apply([site(listeners=(grpc,)), site("other", slots=OTHER_SLOTS)])
    quoted = FORGED.replace(" ", "%20").replace('"', "%22")
    requests = [
        f"GET /{quoted} HTTP/1.1\r\nHost: hello.test",
        f"GET /?{FORGED.replace(' ', '+')} HTTP/1.1\r\nHost: hello.test",
        f"GET /%0a{quoted}%0a HTTP/1.1\r\nHost: hello.test",
        f"GET /.well-known/acme-challenge/%0a{quoted}%0a HTTP/1.1\r\nHost: hello.test",
        f"GET /.well-known/acme-challenge/%0a{quoted}%0a/{'x' * 300} HTTP/1.1\r\nHost: hello.test",
        f"GET /.paas-pages/%0a{quoted}%0a HTTP/1.1\r\nHost: hello.test",
        f"GET http://hello.test/%0a{quoted} HTTP/1.1\r\nHost: other.test",
        f"GET / HTTP/1.1\r\nHost: hello.test\r\nReferer: {FORGED}\r\nX-A: {FORGED}",
        f"GET / HTTP/1.1\r\nHost: hello.test\r\nReferer: x\r{FORGED}\r",
        f"GET / HTTP/1.1\r\nHost: hello.test\r\nAuthorization: Basic {user(FORGED)}",
        "GET / HTTP/1.1\r\nHost: hello.test, server: other.test",
        'GET / HTTP/1.1\r\nHost: hello.test", server: other.test, host: "other.test',
        f"GET /\r{FORGED} HTTP/1.1\r\nHost: hello.test",
        f"GET /\n{FORGED}\nHost: hello.test",
        f"{FORGED}\r\nHost: hello.test",
    ]
    for request in requests:
        raw(f"{request}\r\nConnection: close\r\n\r\n".encode())
    ask_h2(7500, _path="/said")
    for name in ("_path", "_authority", "referer", "user-agent", "_method"):
        for end in ("\n", "\r", "\r\n"):
            ask_h2(7500, **{name: f"/{end}{FORGED}{end}"})
    assert said_of(proxy, "other") == []
    lines = said_of(proxy, "hello")
    assert any("GET /said HTTP/2.0" in line for line in lines)
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def user(name: str) -> str:
    return base64.b64encode(f"x\n{name}\n:password".encode()).decode()


@pytest.mark.parametrize("mounted", [False, True])
def test_a_user_s_name_ends_no_line(proxy: Proxy, *, mounted: bool) -> None:
    """nginx logs a wrong one as it came, and one with control characters is none."""
    options = SiteOptions(users=f"ann:{hashed('s3cret')}")
    mounts = (Route("other.test", "/api"),)
    own = site(domains=(), mounts=mounts, options=options) if mounted else site(options=options)
    shared = ("other.test",) if mounted else ()
    host, path = ("other.test", "/api/x") if mounted else ("hello.test", "/x")
    with backend("one"), backend("two", OTHER_SLOTS):
        applied = proxy.apply([own, site("other", slots=OTHER_SLOTS, shared=shared)])
        assert applied.quarantined == ()

        def status(credentials: str) -> int:
            return ask(host, path, Authorization=f"Basic {credentials}").status

        assert status(user(FORGED)) == 400
        assert said_of(proxy, "hello") == []
        assert status(base64.b64encode(f"{FORGED}:x".encode()).decode()) == 401
        (line,) = said_of(proxy, "hello")
        assert "was not found in" in line
        assert LINE.fullmatch(line)
        assert status(base64.b64encode(b"ann:s3cret").decode()) == 200
        # Whoever speaks to an app that nginx asks no user for says what he likes.
        assert ask("other.test", Authorization=f"Basic {user(FORGED)}").status == 200
    assert said_of(proxy, "other") == []


def test_requests_of_one_connection_are_told_to_their_own_apps(proxy: Proxy) -> None:
    proxy.apply([site(), site("other", slots=OTHER_SLOTS)])
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
    for number, host in enumerate(("hello", "other", "hello", "other")):
        connection.request("GET", f"/{number}", headers={"Host": f"{host}.test"})
        assert connection.getresponse().read()
    connection.close()
    for app, numbers in (("hello", "02"), ("other", "13")):
        paths = [re.findall(r'request: "GET /(\d) ', line)[0] for line in said_of(proxy, app)]
        assert sorted(set(paths)) == list(numbers)


def test_what_nobody_owns_is_in_the_server_s_own_log(proxy: Proxy, layout: Layout) -> None:
    proxy.apply([site()])
    with pytest.raises(http.client.RemoteDisconnected):
        ask("unknown.test")
    assert said_of(proxy, "hello") == []
    assert "hello.test" not in (layout.logs / "proxy/error.log").read_text()


# -- what it says ------------------------------------------------------------------------


def test_a_502_says_which_instance_did_not_answer_and_whom(proxy: Proxy) -> None:
    proxy.apply([site(), site("other", slots=OTHER_SLOTS)])
    assert ask("hello.test", "/cart").status == 502
    line = said_of(proxy, "hello")[-1]
    for words in (
        "connect() failed (111: Connection refused) while connecting to upstream",
        'client: 127.0.0.1, server: hello.test, request: "GET /cart HTTP/1.1"',
        f'upstream: "http://{SLOTS[0][:-1]}',
        'host: "hello.test"',
    ):
        assert words in line
    assert said_of(proxy, "other") == []


def test_a_mount_and_a_port_complain_in_their_app_s_log(proxy: Proxy) -> None:
    """Not in that of whose host it is."""
    api = site(
        "api",
        domains=(),
        slots=OTHER_SLOTS,
        mounts=(Route("hello.test", "/api"),),
        listeners=(
            Listener(parse_port("http:8090:3000"), OTHER_SLOTS),
            Listener(parse_port("tcp:7000:7"), OTHER_SLOTS),
        ),
    )
    assert proxy.apply([site(shared=("hello.test",)), api]).quarantined == ()
    assert ask("hello.test", "/api/x").status == 502
    assert ask("any.test", "/port", port=8090).status == 502
    assert raw(b"hello", port=7000) == b""
    assert said_of(proxy, "hello") == []
    assert wait_until(lambda: "0.0.0.0:7000" in proxy.logs.errors_of("api").read_text(), SECONDS)
    lines = "\n".join(said_of(proxy, "api"))
    assert "GET /api/x" in lines
    assert "GET /port" in lines


# -- following ---------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["access", "error"])
def test_a_follower_sees_each_request_once_over_rotations(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """nginx writes to two files for a while: each worker opens the new one in its own time."""
    monkeypatch.setattr("paas.proxy.applogs.LOG_BYTES", 2000)
    path = {"access": proxy.logs.of, "error": proxy.logs.errors_of}[which]
    proxy.apply([site(slots=SLOTS[:1])])
    left = [f"/{number}" for number in range(200)]
    ended = time.monotonic() + SECONDS

    def visit(seconds: float) -> None:
        """Some more requests and a rotation between two looks, as long as there are any."""
        assert time.monotonic() < ended
        for asked in left[:5]:
            assert ask("hello.test", asked).status == 502
        del left[:5]
        proxy.rotate_logs(nullcontext(["hello"]))
        if older.exists():
            rotated.add(older.stat().st_ino)
        time.sleep(0 if left else seconds)

    seen: list[str] = []
    rotated: set[int] = set()
    older = logs.rotated(path("hello"))
    for lines in logs.follow(lambda: path("hello"), 10, visit):
        seen += re.findall(r'(?:"uri":"|request: "GET )(/\d+)', lines.decode())
        if len(seen) >= 200:
            break
    assert sorted(seen) == sorted(f"/{number}" for number in range(200))
    assert len(rotated) > 1


# -- names that change hands ---------------------------------------------------------------


def test_the_logs_of_an_app_that_is_gone_go(proxy: Proxy) -> None:
    proxy.apply([site(), site("gone")])
    assert ask("gone.test").status == 502
    proxy.apply([site()])
    proxy.rotate_logs(nullcontext(["hello"]))
    assert not proxy.logs.errors_of("gone").exists()
    assert proxy.logs.errors_of("hello").exists()


def test_whose_logs_stay_is_asked_when_nobody_can_be_served_anew(
    proxy: Proxy, layout: Layout
) -> None:
    """An app that was served behind the question lost its log."""
    proxy.apply([site()])

    @contextmanager
    def names() -> Iterator[list[str]]:
        assert not FileLock(layout.locks / "proxy.lock").try_acquire()
        yield ["hello"]

    proxy.rotate_logs(names())
    assert proxy.logs.errors_of("hello").exists()


def test_who_gets_a_name_sees_nothing_of_who_had_it(proxy: Proxy) -> None:
    proxy.apply([site()])
    assert ask("hello.test", "/theirs").status == 502
    assert said_of(proxy, "hello")
    proxy.logs.forget("hello")
    assert logs.last(proxy.logs.errors_of("hello"), 10) == b""
    # Its old site is served for a moment longer, into files that nobody can open.
    assert ask("hello.test", "/theirs").status == 502
    proxy.apply([])
    proxy.apply([site()])
    assert ask("hello.test", "/ours").status == 502
    assert {re.findall(r'"GET (/\w+) ', line)[0] for line in said_of(proxy, "hello")} == {"/ours"}


def test_a_renamed_app_keeps_its_logs_and_loses_no_line_meanwhile(proxy: Proxy) -> None:
    """And gets nothing of whoever had its new name."""
    proxy.apply([site(), site("new", domains=("gone.test",))])
    for host, path in (("hello.test", "/1"), ("gone.test", "/gone")):
        assert ask(host, path).status == 502
    logs.rotated(proxy.logs.errors_of("new")).write_text("/gone\n")
    proxy.apply([site()])
    proxy.logs.rename("hello", "new")
    assert ask("hello.test", "/2").status == 502
    proxy.apply([site("new", domains=("hello.test",))])
    assert ask("hello.test", "/3").status == 502
    lines = logs.last(proxy.logs.errors_of("new"), 100).decode().splitlines()
    assert {re.findall(r'"GET (/\w+) ', line)[0] for line in lines} == {"/1", "/2", "/3"}
    assert not proxy.logs.errors_of("hello").exists()
