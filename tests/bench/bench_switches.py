"""Fifty deploys, scales and restarts under saturation, with visitors of every kind.

wrk keeps the proxy saturated, over kept connections and over new ones; beside it a crowd
uploads slowly, holds event streams and WebSockets open, and asks in a steady rhythm, which is
what latencies are taken from: a switch is the half second from the first answer of an instance on
that was not there before, in which all connections move to it. In the second behind that the old
one is looked after, and removed if it holds no stream, while the next operation begins. It ends
when both the operations and the requests are done, or after ten minutes.

Visitors, developers and the server share the processors here. What a push to a bare repository
and the app's own boot cost the visitors is therefore measured too, in the same run: nobody who
deploys on a saturated server is without them. So is the half second before a switch, in which
the new instance boots.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.bench_swap import failures
from tests.bench.figures import Row, row
from tests.bench.sample import bare_repository
from tests.ports import free_port
from tests.push import apps
from tests.push.outcome import eventually
from tests.push.repository import Repository
from tests.push.server import CHECKOUT, DOMAIN, Server

TITLE = "fifty deploys, scales and restarts under saturation"
APP = "busy"
OPERATIONS, REQUESTS, LIMIT_S = 50, 500_000, 600
PLAIN = 10
"""Pushes to a bare repository, each with a boot of the app outside of the PaaS."""
KEPT, NEW = 24, 4
"""wrk's connections: those it keeps, and those it makes anew for each request."""

Span = tuple[float, float]
"""Begin and end, in seconds of the epoch."""

DRAIN_S = 10
STEADY_S = 10.0
PAUSE_S = 0.5
AROUND_S = 0.5
BEHIND_S = 1.0


def measure(server: Server) -> Sequence[Row]:
    """Everything at once, then what each kind of visitor saw."""
    repository = server.repository(APP, _version("first"))
    repository.push("--force", "main").ok()
    server.let_in_as_root()
    bare_repository(server.folder / "bare.git")
    for words in (f"proxy:set {APP} request-buffering off", f"checks:set {APP} drain-seconds 10"):
        server.ssh(words).ok()
    load = [_wrk(server, KEPT), _wrk(server, NEW, "-H", "Connection: close")]
    crowd = _crowd(server)
    try:
        plain = _plainly(server, repository)
        spans, told = _operate(server, repository)
    finally:
        for each in load:
            each.send_signal(signal.SIGINT)
        outputs = [each.communicate()[0].decode() for each in load]
        seen = json.loads(crowd.communicate(b"\n", timeout=60)[0])
    for failure in seen["failures"]:
        print(f"   {failure}", file=sys.stderr)
    return [*_counts(outputs, seen, told), *_latencies(seen["probes"], plain, spans)]


def _plainly(server: Server, repository: Repository) -> list[Span]:
    """When each push to a bare repository began, and the app's boot behind it ended."""
    time.sleep(STEADY_S)
    target = f"root@server:{server.folder}/bare.git"
    spans: list[Span] = []
    for number in range(PLAIN):
        began = time.time()
        repository.commit(_version(f"plain {number}"))
        repository.git("push", "--force", target, "HEAD:main").ok()
        _boot()
        spans.append((began, time.time()))
        time.sleep(PAUSE_S)
    return spans


def _boot() -> None:
    """The app comes up on the host, answers and ends."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("everything.py")],
        env={"PORT": str(port)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
    finally:
        process.kill()
        process.wait()


def _operate(server: Server, repository: Repository) -> tuple[list[Span], int]:
    """When each operation began and ended, and how many requests the pushes say failed."""
    spans: list[Span] = []
    told, until = 0, time.time() + LIMIT_S
    while len(spans) < OPERATIONS or _requests(server) < REQUESTS:
        assert time.time() < until, f"{len(spans)} operations, {_requests(server)} requests"
        began = time.time()
        told += _operation(server, repository, len(spans))
        spans.append((began, time.time()))
        time.sleep(PAUSE_S)
    return spans, told


def _operation(server: Server, repository: Repository, number: int) -> int:
    kind = number % 5
    if kind == 4:
        server.ssh(f"ps:restart {APP}").ok()
    elif kind == 3:
        server.ssh(f"ps:scale {APP} web={2 if number % 2 else 1}").ok()
    else:
        repository.commit(_version(f"v{number}"))
        pushed = repository.push().ok()
        found = re.search(r"requests served meanwhile, (\d+) failed", pushed.text)
        return int(found[1]) if found else 0
    return 0


def _version(text: str) -> dict[str, str]:
    source = Path(__file__).with_name("everything.py").read_text()
    return apps.python(source.replace('VERSION = "1"', f'VERSION = "{text}"'))


def _wrk(server: Server, connections: int, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["wrk", "-t", "1", "-c", str(connections), "-d", f"{LIMIT_S + 60}s", "--timeout", "10s",
         *options, "-H", f"Host: {APP}.{DOMAIN}", f"http://127.0.0.1:{server.http_port}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _crowd(server: Server) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crowd", str(server.http_port), f"{APP}.{DOMAIN}",
         str(DRAIN_S)],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def _requests(server: Server) -> int:
    """How many nginx has served since it runs (ngx_http_stub_status_module)."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(server.layout.run / "proxy/control.sock"))
        control.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: control.recv(4096), b"")).decode()
    return int(answer.partition("requests")[2].split()[2])


def _counts(outputs: Sequence[str], seen: dict[str, Any], told: int) -> list[Row]:
    kept, new = (_found(r"(\d+) requests in", output) for output in outputs)
    return [
        row("requests over kept connections", [kept], unit=""),
        row("requests over new connections", [new], unit=""),
        row("of both failed", [sum(map(failures, outputs))], unit="", target=0),
        row("failed, as the pushes say", [told], unit="", target=0),
        row("slow uploads", [seen["uploads"]], unit=""),
        row("event streams and WebSockets", [seen["streams"]], unit=""),
        row("of these and the probes failed", [len(seen["failures"])], unit="", target=0),
    ]


def _latencies(
    probes: Sequence[tuple[float, float, str]], plain: Sequence[Span], spans: Sequence[Span]
) -> list[Row]:
    switches = _switches(probes)

    def within(at: float, parts: Sequence[Span]) -> bool:
        return any(start <= at <= end for start, end in parts)

    booting = [(at - AROUND_S, at) for at in switches]
    moving = [(at, at + AROUND_S) for at in switches]
    following = [(end, end + BEHIND_S) for _, end in moving]
    first = probes[0][0]
    steady = [took for at, took, _ in probes if first + 1 < at < plain[0][0]]
    plainly = [took for at, took, _ in probes if within(at, plain)]
    before = [took for at, took, _ in probes if within(at, booting)]
    switching = [took for at, took, _ in probes if within(at, moving)]
    behind = [took for at, took, _ in probes if within(at, following) and not within(at, moving)]
    under_way = [
        took
        for at, took, _ in probes
        if within(at, spans) and not within(at, booting) and not within(at, moving)
    ]
    floor, bare = _p99(steady), _p99(plainly)
    return [
        row("switches seen", [len(switches)], unit=""),
        row("requests in them", [len(switching)], unit=""),
        row("p99 steady", [floor * 1000], unit="ms"),
        row("p99 while a bare repository is pushed to and an app boots", [bare * 1000], unit="ms"),
        row("bare pushes and boots beside steady", [bare / floor], unit="times"),
        row("p99 while something is built", [_p99(under_way) * 1000], unit="ms"),
        row("p99 in the half second before a switch", [_p99(before) * 1000], unit="ms"),
        row("p99 in a switch", [_p99(switching) * 1000], unit="ms"),
        row("p99 in the second behind a switch", [_p99(behind) * 1000], unit="ms"),
        row("a switch beside steady", [_p99(switching) / floor], unit="times", target=2),
        row("a switch beside bare pushes and boots", [_p99(switching) / bare], unit="times"),
        row("the half second before it beside steady", [_p99(before) / floor], unit="times"),
    ]


def _switches(probes: Sequence[tuple[float, float, str]]) -> list[float]:
    """When an instance answered for the first time, the very first one left out."""
    first_seen: dict[str, float] = {}
    for at, took, who in sorted(probes):
        first_seen.setdefault(who, at + took)
    return sorted(first_seen.values())[1:]


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


def _found(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    assert match is not None, text
    return int(match[1])
