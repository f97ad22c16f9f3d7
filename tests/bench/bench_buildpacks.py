"""A buildpack push against a Dockerfile push of the same app, and a lock file seen before."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.figures import Row, row, seconds
from tests.bench.sample import version
from tests.push import apps
from tests.push.repository import Repository
from tests.push.server import Server

TITLE = "buildpacks"
ROUNDS = 9
FACTOR = 2.0
"""Of the Dockerfile push, with unchanged dependencies (issue 4)."""


def measure(server: Server) -> Sequence[Row]:
    """One-line changes of hello-flask by both builders, side by side; then a second app."""
    files = apps.fixture("hello-flask")
    without = {name: text for name, text in files.items() if name != "Dockerfile"}
    dockerfile = server.repository("by-dockerfile", files)
    buildpack = server.repository("by-buildpack", without)
    dockerfile.push().ok()
    first = seconds(lambda: buildpack.push().ok())
    one, other = [], []
    for number in range(ROUNDS):
        one.append(changed(dockerfile, number))
        other.append(changed(buildpack, number))
    second = server.repository("same-lock", without)
    again = seconds(lambda: second.push().ok())
    target = FACTOR * row("", one).median
    return [
        row("Dockerfile push, one line changed", one),
        row("buildpack push, one line changed", other, target=target),
        row("first push of a lock file", [first]),
        row("second app with the same lock file", [again]),
    ]


def changed(repository: Repository, number: int) -> float:
    """Seconds of `git push` of another version."""
    repository.commit(version(f"bench-{number}"))
    return seconds(lambda: repository.push().ok())
