"""A crowd at the door: twenty pushes to twenty apps at once, a hundred commands at once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figures import Row, row
from tests.push import apps
from tests.push.outcome import eventually
from tests.push.repository import Repository
from tests.push.server import Server

TITLE = "a crowd: 20 pushes, 100 commands"
PUSHES, COMMANDS = 20, 100
TARGET = 1.3
"""Times what the same builds take one after the other (issue 5)."""

BUILD = "RUN python3 -c 'print(sum(i * i for i in range(2_000_000)))' > /built-{}\n"
"""About a third of a second of one core, and a layer of its own."""


def measure(server: Server) -> Sequence[Row]:
    """The same work twice: one after the other, then all at once; then the commands."""
    first = [repository(server, "serial", number) for number in range(PUSHES)]
    first[0].push().ok()
    serial = [push(one) for one in first[1:]]
    one_by_one = sum(serial) * PUSHES / len(serial)
    crowd = [repository(server, "crowd", number) for number in range(PUSHES)]
    began = time.perf_counter()
    with ThreadPoolExecutor(PUSHES) as pool:
        codes = [outcome.code for outcome in pool.map(Repository.push, crowd)]
    at_once = time.perf_counter() - began
    served = sum(
        server.get(f"crowd{number}").text == f"hello crowd{number}\n" for number in range(PUSHES)
    )
    answered, taken = commands(server)
    return [
        row("one push, of as many one after the other", serial),
        row(f"{PUSHES} pushes one after the other", [one_by_one]),
        row(f"{PUSHES} pushes at once", [at_once]),
        row("as a multiple of one after the other", [at_once / one_by_one], unit="", target=TARGET),
        row("pushes that failed", [float(sum(code != 0 for code in codes))], unit="", target=0.0),
        row(
            "apps that do not serve what was pushed", [float(PUSHES - served)], unit="", target=0.0
        ),
        row(f"{COMMANDS} ssh commands at once, the last one's end", [taken]),
        row("commands that failed", [float(COMMANDS - answered)], unit="", target=0.0),
    ]


def repository(server: Server, kind: str, number: int) -> Repository:
    """A small app with a build step that no other shares."""
    name = f"{kind}{number}"
    lines = apps.fixture("plain")["Dockerfile"].splitlines(keepends=True)
    lines.insert(len(lines) - 1, BUILD.format(name))
    return server.repository(name, apps.plain(name, Dockerfile="".join(lines)))


def push(one: Repository) -> float:
    began = time.perf_counter()
    one.push().ok()
    return time.perf_counter() - began


def commands(server: Server) -> tuple[int, float]:
    """How many of a hundred commands that begin at once succeed, and when all have ended."""
    eventually(lambda: "crowd0" in server.ssh("apps:list").out)
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            ["ssh", "server", "--", command.format(number % PUSHES)], env=server.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for number in range(COMMANDS // 2)
        for command in ("ps crowd{}", f"config:set --no-restart crowd{{}} KEY_{number}=1")
    ]  # fmt: skip
    ended = [process.communicate() and process.returncode for process in running]
    return sum(code == 0 for code in ended), time.perf_counter() - began
