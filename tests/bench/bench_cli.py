"""How long until a command answers: over ssh beside `ssh host true`, on the server beside Python.

The server has 200 apps and 5,000 releases by then; none of them runs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from paas.model.env import Secret
from paas.store.store import Store
from tests.bench.figures import Row, row, seconds
from tests.push.server import Server, admin_environment

TITLE = "commands, with 200 apps and 5,000 releases"
ROUNDS = 15
LOCAL_ROUNDS = 40
TARGET = 0.060
LOCAL_TARGET = 0.040
APPS, RELEASES = 200, 25
COMMANDS = (
    "apps:list", "apps:report --format json", "apps:info shop100", "ps shop100", "ps",
    "ps:report --format json", "config:show shop100", "config:set --no-restart shop100 A=1",
    "releases shop100", "releases:info shop100 v25", "domains:report", "certs:report",
    "resource:report", "events -n 20", "builds:list shop100", "access:list shop100", "help",
    "version",
)  # fmt: skip
"""Lists and reports of everything, and of one app; and one that writes."""


def measure(server: Server) -> Sequence[Row]:
    """Alternate them all, so that each sees the same machine."""
    fill(server)
    try:
        return [*over_ssh(server), *on_the_server(server)]
    finally:
        empty(server)


def over_ssh(server: Server) -> Sequence[Row]:
    """Beside what a login costs that runs nothing."""
    server.let_in_as_root()
    ssh = [str(server.folder / "client/ssh")]
    bare: list[float] = []
    taken: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for _ in range(ROUNDS):
        bare.append(timed(*ssh, "root@server", "true"))
        for command, samples in taken.items():
            samples.append(timed(*ssh, "server", "--", command))
    floor = row("", bare).median
    return [
        row("ssh host true", bare),
        *(
            row(f"{command}, on top of it", [one - floor for one in samples], target=TARGET)
            for command, samples in taken.items()
        ),
    ]


def on_the_server(server: Server) -> Sequence[Row]:
    """The same without ssh, beside a Python that does nothing."""
    bare, listed = [], []
    for _ in range(LOCAL_ROUNDS):
        bare.append(timed("/usr/bin/python3", "-I", "-S", "-c", "pass"))
        listed.append(timed(*server.command("apps:list")))
    floor = row("", bare).median
    return [
        row("python3 -I -S -c pass", bare),
        row("paas apps:list", listed),
        row("on top of it", [one - floor for one in listed], target=LOCAL_TARGET),
    ]


def fill(server: Server) -> None:
    """Give the database as many apps and releases as a busy server has after some years."""
    store = Store(server.layout)
    config = {f"KEY_{number}": Secret("x" * 40) for number in range(20)}
    for number in range(APPS):
        with store.transaction():
            app = store.apps.create(f"shop{number}")
            store.config.set(app.id, config, "bench")
            for _ in range(RELEASES):
                store.releases.add(
                    app.id,
                    image="sha256:" + "0" * 64,
                    commit="0" * 40,
                    config=config,
                    processes={"web": "true", "worker": "true"},
                    formation={"web": 1, "worker": 0},
                    health={},
                    reason="Deploy 0000000",
                    actor="bench",
                )
            store.domains.add(app.id, f"www.shop{number}.example")
    store.close()


def empty(server: Server) -> None:
    """Take it all away again: other benchmarks are of a server with few apps."""
    store = Store(server.layout)
    with store.transaction():
        for number in range(APPS):
            store.apps.destroy(store.apps.get(f"shop{number}"))
    store.close()


def timed(*argv: str) -> float:
    """Seconds that a command takes; its failure ends the benchmark."""
    environment = admin_environment()
    return seconds(lambda: subprocess.run(argv, env=environment, capture_output=True, check=True))
