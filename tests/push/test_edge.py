"""How a pushed app is reached: names, ports, its own part of the proxy, and real clients."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.authority import bundle, leaf
from tests.ports import free_port
from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import eventually
from tests.push.server import DOMAIN, Page, Server

pytestmark = pytest.mark.turns(2)

SOCKETS = """
import base64, hashlib, os, socketserver, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        version = open("VERSION").read().strip()
        if self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while True:
                self.wfile.write(b"data: " + version.encode() + b"\\n\\n")
                time.sleep(0.1)
        if self.headers.get("Upgrade") == "websocket":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                ("Sec-WebSocket-Accept", accept)):
                self.send_header(name, value)
            self.end_headers()
            self.echo(version.encode())
            return
        body = ("hello " + version + " " + self.path).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self, version):
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            mask, data = self.rfile.read(4), self.rfile.read(head[1] & 127)
            text = version + b" " + bytes(b ^ mask[i % 4] for i, b in enumerate(data))
            self.wfile.write(bytes([0x81, len(text)]) + text)
            self.wfile.flush()

class Twice(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100) * 2)

twice = socketserver.ThreadingTCPServer(("0.0.0.0", 7777), Twice)
threading.Thread(target=twice.serve_forever, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def version(number: str, **files: str) -> dict[str, str]:
    return apps.python(SOCKETS) | {"VERSION": f"{number}\n"} | files


@pytest.fixture(scope="module")
def edge(server: Server) -> Iterator[App]:
    app = new_app(server, "edge")
    app.push(version("1")).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()


def visit(app: App, host: str, path: str = "/") -> Page:
    return app.server.get(app.name, path, host=host)


# -- failures first -------------------------------------------------------------------------


def test_a_snippet_that_reaches_too_far_is_refused_before_the_build(edge: App) -> None:
    for text, words in (
        ("access_log /etc/cron.d/x;", "'access_log' cannot be used"),
        ("add_header X;", "nginx refuses the proxy's snippet"),
    ):
        refused = edge.push({"paas.nginx.conf": text}).failed()
        assert words in refused.text
        assert "Step 1/" not in refused.text
        assert "pre-receive hook declined" in refused.text
    assert visit(edge, f"{edge.name}.{DOMAIN}").status == 200
    edge.repository.git("reset", "-q", "--hard", "HEAD~2")


def test_a_name_has_one_owner(server: Server, edge: App, live: App) -> None:
    edge.ssh("domains:add {} owned.test").ok()
    assert "belongs to app" in live.ssh("domains:add {} free.test owned.test").failed().err
    assert "free.test" not in live.ssh("domains:list {}").ok().out
    assert "belongs to app" in live.ssh(f"domains:add {{}} {edge.name}.{DOMAIN}").failed().err
    assert "belongs to app" in live.ssh("redirects:add {} owned.test https://x.test").failed().err
    edge.ssh("domains:remove {} owned.test").ok()


def test_a_site_that_is_left_out_is_said_at_the_end_of_the_push(edge: App) -> None:
    """What passed before the build fails beside the others: here by a name it takes from nginx."""
    snippet = {"paas.nginx.conf": "location /.well-known/acme-challenge/ { return 200; }"}
    pushed = edge.push(version("1", **snippet))
    assert "Application deployed:" not in pushed.text
    assert "snippet" in pushed.text or "quarantined" in pushed.text
    edge.repository.git("reset", "-q", "--hard", "HEAD~1")
    edge.repository.push("--force", "main").ok()


# -- names and ports ------------------------------------------------------------------------


def test_names_paths_and_redirects(edge: App, live: App) -> None:
    edge.ssh("domains:add {} bücher.test *.wild.test").ok()
    live.ssh("domains:add {} bücher.test/plain").ok()
    host = "xn--bcher-kva.test"
    assert visit(edge, host, "/x").text == "hello 1 /x"
    assert visit(edge, "any.wild.test").status == 200
    assert visit(edge, host, "/plain/").text.startswith("hello ")
    assert "/plain" not in visit(edge, host, "/plain/").text
    edge.ssh("redirects:add {} old.test https://new.test --code 308").ok()
    assert visit(edge, "old.test", "/a").status == 308
    report = json.loads(edge.ssh("domains:report {} --format json").ok().out)
    assert set(report["domains"]) == {f"{edge.name}.{DOMAIN}", host, "*.wild.test"}
    assert report["redirects"] == ["old.test"]
    live.ssh("domains:remove {} bücher.test/plain").ok()
    edge.ssh("domains:clear {}").ok()
    with pytest.raises(OSError, match="RemoteDisconnected"):
        visit(edge, f"{edge.name}.{DOMAIN}")
    edge.ssh("domains:reset {}").ok()
    assert visit(edge, f"{edge.name}.{DOMAIN}").status == 200


def test_a_port_leads_to_another_one_inside(edge: App, live: App) -> None:
    port = free_port()
    edge.ssh(f"ports:add {{}} tcp:{port}:7777").ok()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"ab")
        assert client.recv(100) == b"abab"
    assert "belongs to app" in live.ssh(f"ports:add {{}} http:{port}:5000").failed().err
    edge.ssh(f"ports:remove {{}} tcp:{port}:7777").ok()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_maintenance_and_limits(edge: App) -> None:
    host = f"{edge.name}.{DOMAIN}"
    edge.ssh("maintenance:on {}").ok()
    edge.ssh("maintenance:page {}", input=b"<h1>Moving</h1>").ok()
    assert visit(edge, host) == Page(503, b"<h1>Moving</h1>")
    edge.ssh("maintenance:off {}").ok()
    assert visit(edge, host).status == 200
    edge.ssh("proxy:set {} basic-auth ann:s3cret").ok()
    assert visit(edge, host).status == 401
    assert "s3cret" not in edge.ssh("proxy:report {}").ok().out
    edge.ssh("proxy:set {} basic-auth").ok()
    assert visit(edge, host).status == 200
    assert "not a size" in edge.ssh("proxy:set {} max-body huge").failed().err


# -- real clients during a deploy -------------------------------------------------------------


def open_socket(app: App) -> ClientConnection:
    plain = socket.create_connection(("127.0.0.1", app.server.http_port), timeout=10)
    return connect(f"ws://{app.name}.{DOMAIN}/", sock=plain, compression=None, proxy=None)


@contextmanager
def open_events(app: App) -> Iterator[list[tuple[float, bytes]]]:
    """The lines of a stream of events so far, and when each came; at the end, all there were."""
    connection = http.client.HTTPConnection("127.0.0.1", app.server.http_port, timeout=30)
    host = f"{app.name}.{DOMAIN}"
    connection.request("GET", "/events", headers={"Host": host, "Accept": "text/event-stream"})
    events = connection.getresponse()
    heard: list[tuple[float, bytes]] = []

    def listen() -> None:
        while line := events.readline():
            heard.append((time.monotonic(), line))

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield heard
    finally:
        listener.join()
        connection.close()


def test_streams_survive_a_deploy_whose_end_counts_the_requests(edge: App) -> None:
    """Until they close, or the time to drain is over."""
    done = threading.Event()
    edge.ssh("checks:set {} drain-seconds 8").ok()

    def ask() -> None:
        while not done.is_set():
            visit(edge, f"{edge.name}.{DOMAIN}")

    visitor = threading.Thread(target=ask)
    with open_events(edge) as heard, open_socket(edge) as client:
        client.send("a")
        assert client.recv(10) == "1 a"
        visitor.start()
        try:
            pushed = edge.push(version("2")).ok()
        finally:
            done.set()
            visitor.join()
        client.send("b")
        assert client.recv(10) == "1 b"
        switched = time.monotonic()
        with pytest.raises(ConnectionClosed):
            client.recv(30)
    assert {line for _, line in heard} == {b"data: 1\n", b"\n"}
    assert heard[-1][0] > switched
    found = re.search(r"([\d,]+) requests served meanwhile, (\d+) failed", pushed.text)
    assert found is not None, pushed.text
    assert int(found[1].replace(",", "")) > 0
    assert found[2] == "0"
    with open_socket(edge) as client:
        client.send("c")
        assert client.recv(10) == "2 c"

    def counted() -> bool:
        metrics = json.loads(edge.ssh("proxy:metrics {} --format json").ok().out)[edge.name]
        return bool(metrics["classes"]["2xx"] and metrics["p99_ms"] and metrics["bytes"])

    eventually(counted)


GRPC = """
import http.server, os, grpc
from concurrent.futures import ThreadPoolExecutor

class Said(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.stream_stream_rpc_method_handler(self.answer)

    def answer(self, words, context):
        version = open("VERSION", "rb").read().strip()
        for word in words:
            yield version + b" " + word

server = grpc.server(ThreadPoolExecutor(4), handlers=[Said()])
server.add_insecure_port("0.0.0.0:50051")
server.start()
address = ("0.0.0.0", int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""

GRPC_CLIENT = """
import sys, grpc

def lines():
    for line in sys.stdin:
        yield line.strip().encode()

with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    for said in channel.stream_stream("/said/Said")(lines(), timeout=60):
        print(said.decode(), flush=True)
"""


@contextmanager
def open_call(port: int) -> Iterator[subprocess.Popen[str]]:
    """A stream both ways, a line each; in a process of its own, which its threads end with."""
    command = [sys.executable, "-c", GRPC_CLIENT, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        yield client
        client.communicate(timeout=100)
        assert client.returncode == 0


def say(client: subprocess.Popen[str], word: str) -> str:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{word}\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


def test_a_grpc_stream_survives_a_deploy(server: Server, app: App) -> None:
    install = "RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends"
    dockerfile = f"{apps.STACK}{install} python3-grpcio >/dev/null\nCOPY . .\nCMD python3 app.py\n"
    files = {"app.py": GRPC, "Dockerfile": dockerfile}
    app.push(files | {"VERSION": "1"}).ok()
    app.ssh("checks:set {} drain-seconds 20").ok()
    port = free_port()
    app.ssh(f"ports:add {{}} grpc:{port}:50051").ok()
    with open_call(port) as first:
        assert say(first, "a") == "1 a"
        app.push({"VERSION": "2"}).ok()
        with open_call(port) as second:
            assert say(second, "b") == "2 b"
        assert say(first, "c") == "1 c"


BROWSER = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-first-run",
    "--ignore-certificate-errors", "--timeout=90000", "--dump-dom",
)  # fmt: skip


def test_curl_and_a_browser_load_a_page_over_tls_during_a_deploy(edge: App, tmp_path: Path) -> None:
    host, port = f"{edge.name}.{DOMAIN}", edge.server.https_port
    edge.ssh("certs:add {}", input=bundle(leaf(host))).ok()
    for option, spoken in (("--http1.1", "1.1"), ("--http2", "2")):
        got = subprocess.run(
            ["curl", "-sSk", option, "-w", " %{http_version} %{http_code}", "--connect-to",
             f"::127.0.0.1:{port}", f"https://{host}/"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert got.stdout.endswith(f" {spoken} 200")
    rules = f"--host-resolver-rules=MAP {host} 127.0.0.1"
    browser = subprocess.Popen(
        [*BROWSER, f"--user-data-dir={tmp_path}", rules, f"https://{host}:{port}/page"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        edge.push(version("3")).ok()
        page, complaints = browser.communicate(timeout=120)
    finally:
        browser.kill()
        browser.wait()
    assert re.search(rb"hello [123] /page", page), (browser.returncode, page, complaints)
    edge.ssh("certs:remove {}").ok()
