"""How long from `git push` to the new version being served, and where the time goes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.bench.figures import Row, row, seconds
from tests.bench.sample import APP, bare_repository, boot_seconds, version
from tests.bench.visitor import Visitor
from tests.push import apps
from tests.push.repository import Repository
from tests.push.server import DOMAIN, Server

TITLE = "push to live"
ROUNDS = 9
OURS_TARGET = 0.3
"""Seconds on top of the empty push and the app's own boot (issue 2)."""

DOCKER_TARGET = 1.03
"""An empty push and the docker commands that a Dockerfile deploy cannot avoid, as issue 2
measured them; `bench_docker.py` measures them again where dockerd is installed."""


def measure(server: Server) -> Sequence[Row]:
    """Push one-line changes of the sample app, with a warm cache."""
    repository = server.repository(APP, apps.fixture("hello-flask"))
    repository.push("--force", "main").ok()
    empty = empty_pushes(server)
    boots = [boot_seconds() for _ in range(ROUNDS)]
    floor = row("", empty).median + row("", boots).median
    live, returned, stages = [], [], []
    for number in range(ROUNDS):
        to_live, to_return = push_once(server, repository, f"bench-{number}")
        live.append(to_live)
        returned.append(to_return)
        stages.append(newest_timeline(server))
    return [
        row("git push to an empty bare repository", empty),
        row("the app's own boot, outside", boots),
        row("git push to live", live, target=DOCKER_TARGET),
        row("ours on top of both", [one - floor for one in live], target=OURS_TARGET),
        row("git push to its return", returned),
        *(row(f"  stage {name}", [one.get(name, 0.0) for one in stages]) for name in stages[0]),
    ]  # fmt: skip


def push_once(server: Server, repository: Repository, text: str) -> tuple[float, float]:
    """Seconds from starting `git push` until `text` is served, and until git returned."""
    repository.commit(version(text))
    visitor = Visitor(server.http_port, f"{APP}.{DOMAIN}", text)
    visitor.start()
    began = time.perf_counter()
    pushed = repository.push()
    returned = time.perf_counter()
    pushed.ok()
    visitor.join()
    assert visitor.seen_at is not None, "the new version was never served"
    return visitor.seen_at - began, returned - began


def newest_timeline(server: Server) -> dict[str, float]:
    """Seconds by stage of the last deploy, from its own record."""
    files = server.layout.deploys.glob("*/timeline.json")
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    found: dict[str, float] = json.loads(newest.read_text())
    return found


def empty_pushes(server: Server) -> list[float]:
    """The same commits to a bare repository behind the same sshd."""
    server.let_in_as_root()
    bare = bare_repository(server.folder / "bare.git")
    repository = server.repository("floor", apps.fixture("hello-flask"))
    repository.git("remote", "set-url", "paas", f"root@server:{bare}").ok()
    repository.push().ok()
    taken = []
    for number in range(ROUNDS):
        repository.commit(version(f"floor-{number}"))
        taken.append(seconds(lambda: repository.push().ok()))
    return taken
