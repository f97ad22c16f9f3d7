"""What can be set about a site, seen by its visitors: one nginx for all of it."""

from __future__ import annotations

import http.client
import json
import select
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.model.port import parse_port
from paas.model.proxysettings import hashed
from paas.model.route import Redirect, Route
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.proxy.site import Listener, SiteOptions, SiteState
from paas.proxy.snippet import rendered
from tests.engine.proxied import (
    OTHER_SLOTS,
    PORT,
    SLOTS,
    ask,
    backend,
    own_network,
    own_root,
    raw,
    refuses,
    running,
    site,
)


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


PLACE = {"now": Listening(http_port=PORT)}


@pytest.fixture(scope="module")
def proxy(layout: Layout) -> Iterator[Proxy]:
    with (
        running(layout, lambda: PLACE["now"]) as proxy,
        backend("one"),
        backend("two", OTHER_SLOTS),
    ):
        yield proxy


@contextmanager
def listening(**changes: object) -> Iterator[None]:
    """The server's own settings are others for a while."""
    before = PLACE["now"]
    PLACE["now"] = Listening(http_port=PORT, **changes)  # type: ignore[arg-type]
    try:
        yield
    finally:
        PLACE["now"] = before


JSON = {"Accept": "application/json"}


def test_apps_share_a_host_by_path(proxy: Proxy) -> None:
    api = site("api", domains=(), slots=OTHER_SLOTS, mounts=(Route("hello.test", "/api"),))
    assert proxy.apply([site(shared=("hello.test",)), api]).quarantined == ()
    assert ask("hello.test", "/x").told["name"] == "one"
    below = ask("hello.test", "/api/x?y=1", **{"X-Forwarded-Prefix": "/evil"}).told
    assert (below["name"], below["path"]) == ("two", "/x?y=1")
    assert below["headers"]["x-forwarded-prefix"] == "/api"
    assert ask("hello.test", "/api").told["path"] == "/"
    assert ask("hello.test", "/apix").told["name"] == "one"


def test_a_path_can_be_left_as_it_is_and_a_host_be_had_for_its_paths_alone(proxy: Proxy) -> None:
    options = SiteOptions(strip_path=False)
    api = site(
        "api",
        domains=("x.test",),
        mounts=(Route("x.test", "/api"),),
        shared=("x.test",),
        bare=("x.test",),
        options=options,
    )
    proxy.apply([api])
    assert ask("x.test", "/api/y").told["path"] == "/api/y"
    assert ask("x.test", "/")[0] == 404


def test_a_broken_mount_is_quarantined_without_its_host(proxy: Proxy) -> None:
    bad = site(
        "bad",
        domains=("bad.test",),
        mounts=(Route("hello.test", "/api"),),
        options=SiteOptions(extra="no_such_directive;"),
    )
    applied = proxy.apply([site(shared=("hello.test",)), bad])
    assert [app for app, _ in applied.quarantined] == ["bad"]
    assert ask("hello.test", "/api/x").told["name"] == "one"


def test_hosts_and_paths_redirect(proxy: Proxy) -> None:
    redirects = (
        Redirect(Route("old.test"), "https://new.test", 308),
        Redirect(Route("hello.test", "/gone"), "https://else.test/here", 302),
    )
    proxy.apply([site(domains=("hello.test", "old.test"), redirects=redirects)])
    answer = ask("old.test", "/a?b=c")
    assert (answer.status, answer.headers["Location"]) == (308, "https://new.test/a?b=c")
    answer = ask("hello.test", "/gone?x")
    assert (answer.status, answer.headers["Location"]) == (302, "https://else.test/here")
    assert ask("hello.test", "/gone/further").status == 200


def test_the_canonical_host_is_led_to_with_its_port(proxy: Proxy) -> None:
    names = ("a.test", "www.a.test")
    proxy.apply([site(domains=names, options=SiteOptions(canonical="apex"))])
    answer = ask("www.a.test", "/x")
    assert (answer.status, answer.headers["Location"]) == (301, f"http://a.test:{PORT}/x")
    assert ask("a.test").status == 200


def test_only_users_with_their_password_pass(proxy: Proxy) -> None:
    options = SiteOptions(users=f"ann:{hashed('s3cret')} bob:{hashed('x')}")
    proxy.apply([site(options=options)])
    assert ask("hello.test").status == 401
    assert ask("hello.test", Authorization="Basic YW5uOndyb25n").status == 401
    assert ask("hello.test", Authorization="Basic YW5uOnMzY3JldA==").status == 200
    # HTTP-01 must be answered all the same (RFC 8555, section 8.3).
    assert ask("hello.test", "/.well-known/acme-challenge/x").status == 200


def test_only_addresses_on_the_list_pass(proxy: Proxy) -> None:
    proxy.apply([site(options=SiteOptions(allow=("10.0.0.0/8",)))])
    assert ask("hello.test").status == 403
    proxy.apply([site(options=SiteOptions(allow=("127.0.0.0/8",)))])
    assert ask("hello.test").status == 200


def test_requests_above_the_rate_get_429(proxy: Proxy) -> None:
    proxy.apply([site(options=SiteOptions(rate="1/m", rate_burst=2))])
    answers = [ask("hello.test", **JSON) for _ in range(6)]
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 3
    assert json.loads(answers[-1].body)["error"]["code"] == "too-many"


def test_a_visitor_stays_at_one_slot(proxy: Proxy) -> None:
    slots = (SLOTS[0], OTHER_SLOTS[0])
    proxy.apply([site(slots=slots, options=SiteOptions(sticky=True))])
    # By chance; that all of so many come to the same one does not happen.
    visitors = [ask("hello.test") for _ in range(40)]
    assert {visitor.told["name"] for visitor in visitors} == {"one", "two"}
    for visitor in visitors[:12]:
        cookie = visitor.headers["Set-Cookie"].partition(";")[0]
        again = [ask("hello.test", Cookie=cookie) for _ in range(3)]
        assert {each.told["name"] for each in again} == {visitor.told["name"]}
        assert "Set-Cookie" not in again[0].headers


def test_text_is_compressed_unless_that_is_off(proxy: Proxy) -> None:
    long = "/" + "x" * 2000
    for on, encoding in ((True, "gzip"), (False, None)):
        proxy.apply([site(options=SiteOptions(compression=on))])
        answer = ask("hello.test", long, **{"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == encoding


def test_the_client_is_told_as_rfc_7239_says(proxy: Proxy) -> None:
    proxy.apply([site()])
    forwarded = ask(f"hello.test:{PORT}").told["headers"]["forwarded"]
    assert forwarded == f'for=127.0.0.1;host="hello.test:{PORT}";proto=http'
    connection = http.client.HTTPConnection("::1", PORT, timeout=60)
    connection.request("GET", "/", headers={"Host": "hello.test"})
    headers = json.loads(connection.getresponse().read())["headers"]
    connection.close()
    assert headers["forwarded"] == 'for="[::1]";host="hello.test";proto=http'
    assert headers["x-forwarded-for"] == "::1"


def test_a_host_header_cannot_add_to_what_the_app_is_told(proxy: Proxy) -> None:
    proxy.apply([site(domains=("*.hello.test",))])
    got = raw(b'GET / HTTP/1.1\r\nHost: a";for=6.6.6.6.hello.test\r\nConnection: close\r\n\r\n')
    if b" 200 " in got.partition(b"\r\n")[0]:
        told = json.loads(got.partition(b"\r\n\r\n")[2])
        assert told["headers"]["forwarded"] == 'for=127.0.0.1;host="";proto=http'
    else:
        assert b" 400 " in got.partition(b"\r\n")[0] or got == b""


def test_a_trusted_balancer_is_believed_and_nobody_else(proxy: Proxy) -> None:
    claims = {"X-Forwarded-For": "6.6.6.6, 192.0.2.9", "X-Forwarded-Proto": "https"}
    with listening(trusted=("127.0.0.0/8",)):
        proxy.apply([site()])
        headers = ask("hello.test", **claims).told["headers"]
        assert headers["x-forwarded-for"] == "192.0.2.9"  # the last one that is not trusted
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("https", "443")
    with listening(trusted=("10.0.0.0/8",)):
        proxy.apply([site()])
        headers = ask("hello.test", **claims).told["headers"]
        assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")


def test_the_proxy_protocol_names_the_client_and_is_then_demanded(proxy: Proxy) -> None:
    with listening(proxy_protocol=True):
        proxy.apply([site()])
        request = b"GET / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\n\r\n"
        got = raw(b"PROXY TCP4 203.0.113.7 10.0.0.1 1234 80\r\n" + request)
        told = json.loads(got.partition(b"\r\n\r\n")[2])
        assert told["headers"]["x-forwarded-for"] == "203.0.113.7"
        assert b"200" not in raw(request)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("text/html", "html"), ("*/*", "html"), ("application/json", "json"), ("", "html"),
     ("application/problem+json, */*", "json"), ("text/html, application/json", "html")],
)  # fmt: skip
def test_pages_are_in_the_client_s_language_and_name_the_request(
    proxy: Proxy, accept: str, kind: str
) -> None:
    proxy.apply([site(slots=(), state=SiteState.EMPTY)])
    answer = ask("hello.test", Accept=accept)
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith(
        "text/html" if kind == "html" else "application/json"
    )
    request_id = answer.headers["X-Request-ID"]
    assert request_id.encode() in answer.body
    # nginx logs a request after its answer is out.
    assert wait_until(lambda: request_id in proxy.logs.of("hello").read_text(), 60)
    if kind == "json":
        assert json.loads(answer.body)["error"]["request_id"] == request_id


def test_maintenance_shows_the_app_s_own_page(proxy: Proxy) -> None:
    page = '<h1>Moving house</h1> {{ 1 }} $host <!--# echo var="args" -->'
    proxy.apply([site(state=SiteState.MAINTENANCE, page=page)])
    answer = ask("hello.test", "/x?secret")
    assert (answer.status, answer.body.decode()) == (503, page)
    assert ask("hello.test", "/.paas-pages/own/hello.html").status == 404


def test_maintenance_shows_the_own_page_of_an_app_below_a_path_too(proxy: Proxy) -> None:
    """Whoever's the host is: another app's, that of one in maintenance itself, or its own."""
    down = {"state": SiteState.MAINTENANCE, "slots": ()}
    blog = site(
        "blog",
        domains=("x.test", "y.test"),
        mounts=tuple(Route(host, "/blog") for host in ("hello.test", "x.test", "y.test")),
        shared=("x.test", "y.test"),
        bare=("y.test",),
        page="<h1>Writing</h1>",
        **down,
    )
    news = site("news", domains=(), mounts=(Route("hello.test", "/news"),), page="News", **down)
    for host, root in (
        (site(shared=("hello.test",)), b'"name": "one"'),
        (site(shared=("hello.test",), page="<h1>Moving</h1>", **down), b"<h1>Moving</h1>"),
    ):
        assert proxy.apply([host, blog, news]).quarantined == ()
        for place in ("hello.test", "x.test", "y.test"):
            for path in ("/blog", "/blog/x?y"):
                answer = ask(place, path)
                assert (answer.status, answer.body) == (503, b"<h1>Writing</h1>"), place
                assert answer.headers["Content-Type"].startswith("text/html")
            assert ask(place, "/.paas-pages/own/blog.html").status == 404
        assert ask("hello.test", "/news/").body == b"News"
        assert root in ask("hello.test").body


def test_a_large_body_is_told_how_to_raise_the_limit(proxy: Proxy) -> None:
    proxy.apply([site(options=SiteOptions(max_body_bytes=1000))])
    answer = ask("hello.test", method="POST", body=b"x" * 2000)
    assert answer.status == 413
    assert b"proxy:set APP max-body" in answer.body


def test_an_unknown_host_may_get_a_page(proxy: Proxy) -> None:
    with listening(unknown_page=True):
        proxy.apply([site()])
        answer = ask("nobody.test", **JSON)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "unknown-host")


def test_a_snippet_of_the_repository_is_served(proxy: Proxy) -> None:
    text = """
        location /cached { expires 1h; proxy_set_header X-Tenant "a b"; }
        location = /moved { return 307 /there; }
        if ($http_user_agent ~* "(bad|worse) bot") { return 403; }
    """
    extra = rendered(text, "http://paas-hello", ("Host",))
    assert proxy.apply([site(options=SiteOptions(extra=extra))]).quarantined == ()
    answer = ask("hello.test", "/cached")
    assert answer.headers["Cache-Control"] == "max-age=3600"
    assert answer.told["headers"]["x-tenant"] == "a b"
    assert answer.told["headers"]["host"] == "hello.test"
    assert ask("hello.test", "/moved").status == 307
    assert ask("hello.test", **{"User-Agent": "a worse bot"}).status == 403


OUTSIDE = (
    "../auth/victim", "../own-pages/victim.html", "../../../../logs/proxy/apps/victim.log",
    "../../../../../etc/passwd", "..%2fauth/victim", "%2e%2e/auth/victim", "own/victim.html",
    "./crashed.html", "crashed.html/../../auth/victim", "crashed.html%0a", "", ".", "/",
)  # fmt: skip
"""What a rewrite may put behind the folder that nginx serves files of: it normalises none of it."""


@pytest.mark.parametrize("folder", ["/.paas-pages/", "/.well-known/acme-challenge/"])
@pytest.mark.parametrize(
    "snippet",
    [
        "location = /x {{ rewrite ^ {folder}$arg_p last; }}",
        "if ($arg_p) {{ rewrite ^ {folder}$arg_p? last; }}",
        "if ($uri = /x) {{ set $to {folder}$arg_p; rewrite ^ $to last; }}",
        "error_page 404 = {folder}$arg_p; location = /x {{ return 404; }}",
        "error_page 403 =200 {folder}$arg_p; location = /x {{ deny all; }}",
        # Nothing passes the request on, and no file is what it is looked for as.
        "location = /x {{ rewrite ^ {folder}$arg_p break; return 404; }}",
        "location = /x {{ rewrite ^ $arg_p break; return 404; }}",
    ],
)
def test_a_snippet_leads_to_no_file_but_our_pages(
    proxy: Proxy, layout: Layout, folder: str, snippet: str
) -> None:
    victim = site(
        "victim",
        slots=(),
        state=SiteState.MAINTENANCE,
        page="<p>victim's own</p>",
        options=SiteOptions(users=f"ann:{hashed('s3cret')}"),
    )
    extra = rendered(snippet.format(folder=folder), "http://paas-hello", ("Host",))
    assert proxy.apply([victim, site(options=SiteOptions(extra=extra))]).quarantined == ()
    ask("victim.test")  # for its log
    assert wait_until(lambda: "victim.test" in proxy.logs.of("victim").read_text(), 60)
    with proxy.challenges.answered({"token": "thumb"}):
        for path in (*OUTSIDE, str(layout.proxy / "current/auth/victim"), "//etc/passwd"):
            answer = ask("hello.test", f"/x?p={path}")
            if answer.status == 200 and answer.body.startswith(b'{"name": "one"'):
                continue  # the app itself, which tells what it was asked for
            # nginx's word for an empty URI is 500.
            refused = answer.status in (403, 404) or (answer.status, path) == (500, "")
            assert refused, (path, answer)
            for secret in (b"ann:", b"root:", b"victim", b"thumb"):
                assert secret not in answer.body, (path, answer)


def test_a_snippet_may_still_lead_to_our_pages_and_challenges(proxy: Proxy) -> None:
    text = """
        location = /down { rewrite ^ /.paas-pages/crashed.html last; }
        location = /token { rewrite ^ /.well-known/acme-challenge/token last; }
        error_page 410 /.paas-pages/too-many.json;
        location = /gone { return 410; }
    """
    extra = rendered(text, "http://paas-hello", ("Host",))
    proxy.apply([site(options=SiteOptions(extra=extra, users=f"ann:{hashed('s3cret')}"))])
    ann = {"Authorization": "Basic YW5uOnMzY3JldA=="}
    with proxy.challenges.answered({"token": "thumb"}):
        assert ask("hello.test", "/token", **ann).body == b"thumb"
        assert ask("hello.test", "/.well-known/acme-challenge/token").body == b"thumb"
    assert ask("hello.test", "/down", **ann).headers["Content-Type"].startswith("text/html")
    gone = ask("hello.test", "/gone", **ann)
    assert (gone.status, json.loads(gone.body)["error"]["code"]) == (410, "too-many")
    for page in ("crashed.html", "unknown-host.json", "", "own/hello.html"):
        assert ask("hello.test", f"/.paas-pages/{page}", **ann).status == 404


def test_what_nginx_refuses_is_found_before_it_is_applied(proxy: Proxy) -> None:
    reason = proxy.refuses(site(options=SiteOptions(extra="client_max_body_size 1x;")))
    assert reason is not None
    assert "client_max_body_size" in reason
    assert proxy.refuses(site()) is None


def stream_event(self: object) -> None:
    """An event, and the next only when the test has seen the first."""
    handler = self
    handler.send_response(200)  # type: ignore[attr-defined]
    handler.send_header("Content-Type", "text/event-stream")  # type: ignore[attr-defined]
    handler.end_headers()  # type: ignore[attr-defined]
    handler.wfile.write(b"data: 1\n\n")  # type: ignore[attr-defined]
    handler.wfile.flush()  # type: ignore[attr-defined]
    SEEN.wait(60)
    handler.wfile.write(b"data: 2\n\n")  # type: ignore[attr-defined]
    handler.close_connection = True  # type: ignore[attr-defined]


SEEN = threading.Event()


def test_an_event_is_passed_on_when_it_is_made(proxy: Proxy) -> None:
    slots = ("127.0.3.1",)
    with backend("events", slots, do_GET=stream_event):
        proxy.apply([site(slots=slots)])
        with socket.create_connection(("127.0.0.1", PORT), timeout=60) as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: hello.test\r\nAccept: text/event-stream\r\n\r\n"
            )
            got = b""
            while b"data: 1" not in got:
                got += client.recv(4096)
            assert b"data: 2" not in got
            SEEN.set()
            while b"data: 2" not in got:
                got += client.recv(4096)


class Doubler(socketserver.BaseRequestHandler):
    """Says everything twice."""

    def handle(self) -> None:
        if isinstance(self.request, tuple):
            data, answers = self.request
            answers.sendto(data * 2, self.client_address)
        else:
            self.request.sendall(self.request.recv(100) * 2)


@contextmanager
def raw_backend(kind: type[socketserver.TCPServer]) -> Iterator[str]:
    with kind(("127.0.4.1", 80), Doubler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield "127.0.4.1"
        server.shutdown()


def test_tcp_and_udp_ports_lead_to_the_app(proxy: Proxy) -> None:
    with raw_backend(socketserver.TCPServer) as slot, raw_backend(socketserver.UDPServer):
        listeners = tuple(
            Listener(parse_port(text), (slot,)) for text in ("tcp:7000:7", "udp:7000:7")
        )
        assert proxy.apply([site(listeners=listeners)]).quarantined == ()
        with socket.create_connection(("127.0.0.1", 7000), timeout=60) as client:
            client.sendall(b"tcp")
            assert client.recv(100) == b"tcptcp"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.sendto(b"udp", ("127.0.0.1", 7000))
            assert client.recv(100) == b"udpudp"
    proxy.apply([site()])
    assert wait_until(lambda: refuses(7000), 60)


def test_an_app_without_a_domain_is_reached_at_its_port(proxy: Proxy) -> None:
    listener = Listener(parse_port("http:8090:3000"), OTHER_SLOTS)
    proxy.apply([site(), site("nameless", domains=(), listeners=(listener,))])
    assert ask("127.0.0.1:8090", port=8090).told["name"] == "two"


GRPC = """
import grpc
from concurrent.futures import ThreadPoolExecutor

class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda data, _: data * 2)

server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
server.add_insecure_port("127.0.6.1:80")
server.start()
with grpc.insecure_channel("127.0.0.1:7500") as channel:
    print(channel.unary_unary("/echo/Twice")(b"ab", timeout=20).decode())
    server.stop(0).wait()
    try:
        channel.unary_unary("/echo/Twice")(b"ab", timeout=20)
    except grpc.RpcError as error:
        print(error.code().name)
"""


def test_grpc_is_spoken_to_the_app_and_its_absence_too(proxy: Proxy) -> None:
    """In a process of its own: gRPC's threads would stay in this network."""
    listener = Listener(parse_port("grpc:7500:50051"), ("127.0.6.1",))
    assert proxy.apply([site(listeners=(listener,))]).quarantined == ()
    done = subprocess.run(
        [sys.executable, "-c", GRPC], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["abab", "UNAVAILABLE"]


def test_requests_are_counted(proxy: Proxy) -> None:
    proxy.apply([site(), site("dead", slots=("127.0.9.9",))])
    marks = {app: proxy.traffic.mark(app) for app in ("hello", "dead")}
    for _ in range(3):
        ask("hello.test")
    ask("dead.test")

    def counted(app: str) -> list[tuple[int, int]]:
        parts = proxy.traffic.since(app, marks[app])[0].values()
        return [(part.requests, part.refused) for part in parts]

    assert wait_until(lambda: counted("hello") == [(3, 0)], 60)
    assert wait_until(lambda: counted("dead") == [(1, 1)], 60)


def test_a_websocket_outlives_a_reload(proxy: Proxy) -> None:
    with socket.create_server(("127.0.5.1", 80)) as listener:
        proxy.apply([site(slots=("127.0.5.1",))])
        with socket.create_connection(("127.0.0.1", PORT), timeout=60) as client:
            client.sendall(
                b"GET /ws HTTP/1.1\r\nHost: hello.test\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\n\r\n"
            )
            app, _ = listener.accept()
            with app:
                app.recv(4096)
                app.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\n\r\n"
                )
                assert b" 101 " in client.recv(4096)
                assert proxy.apply([site(slots=("127.0.5.1",)), site("new")]).reloaded
                client.sendall(b"after the reload")
                assert app.recv(100) == b"after the reload"
                app.sendall(b"and back")
                assert client.recv(100) == b"and back"
                assert not select.select([client], [], [], 0)[0]
