"""What a cron run costs beside a bare one-off, and how fast output reaches a drain."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence

from tests.bench.figures import Row, row, seconds
from tests.push import apps
from tests.push.server import Server

TITLE = "cron runs and drains"
ROUNDS = 10
LINES = 50_000
APP = "jobs"
FRAME = re.compile(rb"<190>1 ")


def measure(server: Server) -> Sequence[Row]:
    """On an app that is pushed for it; the receiver is a bare socket, which costs nothing."""
    server.push(APP, apps.plain()).ok()
    try:
        return [*_runs(server), *_drain(server)]
    finally:
        server.paas("apps:destroy", APP, "--force").ok()


def _runs(server: Server) -> Sequence[Row]:
    task = server.paas("--quiet", "cron:add", APP, "0 0 1 1 *", "true").ok().out.strip()
    bare, runs = [], []
    for _ in range(ROUNDS):
        bare.append(seconds(lambda: server.paas("run", APP, "true").ok()))
        runs.append(seconds(lambda: server.paas("cron:run", APP, task).ok()))
    return [row("paas run APP true", bare), row("paas cron:run, with history and log", runs)]


def _drain(server: Server) -> Sequence[Row]:
    server.paas("drains:allow-host", "127.0.0.1").ok()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"syslog://127.0.0.1:{listener.getsockname()[1]}"
        server.paas("drains:add", APP, url).ok()
        _say(server, "echo begin")
        with listener.accept()[0] as connection:
            _until(connection, b"begin")
            late = []
            for number in range(ROUNDS):
                _say(server, f"date +%s.%N; echo end{number}")
                said = _until(connection, b"end%d" % number)
                written = float(re.findall(rb"(\d{10}\.\d{9})", said)[-1])
                late.append(time.time() - written)
            _say(server, f"seq {LINES}; echo over")
            first = connection.recv(65536)
            began = time.monotonic()
            got = first + _until(connection, b"over")
            rate = len(FRAME.findall(got)) / (time.monotonic() - began)
    return [
        row("from an app's line to the drain", late),
        row("lines that arrive in a second", [rate], unit="1/s"),
    ]


def _say(server: Server, script: str) -> None:
    server.paas("run:detached", APP, "sh", "-c", script).ok()


def _until(connection: socket.socket, word: bytes) -> bytes:
    """All that comes until a line ends with `word`, which is the last to be written."""
    got = bytearray()
    while word not in got[-4096:]:
        data = connection.recv(1 << 20)
        assert data, "the drain has closed its connection"
        got += data
    return bytes(got)
