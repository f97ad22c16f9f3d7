"""What plugins cost a push and a command: none of them, one that is told, one that is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from paas.deploy.parts import Parts
from paas.plugin.hookspecs import Call
from paas.store.store import Store
from tests.bench.bench_cli import timed
from tests.bench.figures import Row, row, seconds
from tests.push.repository import Repository
from tests.push.server import Server

TITLE = "plugins"
ROUNDS = 9
CALLS = 200
NOTHING = 0.001
"""Seconds that asking nobody may take: four of them are in a push."""

ASKED, TOLD = "asked", "told"
DOCKERFILE = "FROM paas/stack:debian-13\nCOPY . /app/\nWORKDIR /app\n"
PROCFILE = "worker: exec sleep 600\n"
"""Nothing that listens: what is measured is the way there."""


def measure(server: Server) -> Sequence[Row]:
    """The same push in turns, so that all of them see the same machine."""
    for name, hook in ((ASKED, "pre-build"), (TOLD, "post-deploy")):
        folder = written(server, name, hook)
        server.paas("plugin:install", str(folder)).ok()
    repository = server.repository("plugged")
    repository.commit({"Dockerfile": DOCKERFILE, "Procfile": PROCFILE})
    repository.push().ok()
    pushes: dict[str, list[float]] = {"": [], TOLD: [], ASKED: []}
    commands: dict[str, list[float]] = {"": [], TOLD: [], ASKED: []}
    for number in range(ROUNDS):
        for name in pushes:
            with enabled(server, name):
                pushes[name].append(push(repository, f"{number}-{name}"))
                commands[name].append(timed(*server.command("apps:list")))
    floor = row("", pushes[""]).median
    return [
        row("asking nobody (one of four in a push)", list(nobody(server)), target=NOTHING),
        row("git push to its return, no plugin", pushes[""]),
        row("  with one that is told", pushes[TOLD]),
        row("  on top", [one - floor for one in pushes[TOLD]]),
        row("  with one that is asked", pushes[ASKED]),
        row("  on top: a container with the answer", [one - floor for one in pushes[ASKED]]),
        row("paas apps:list, no plugin", commands[""]),
        row("  with one enabled", commands[ASKED]),
    ]


def nobody(server: Server) -> Iterator[float]:
    """Seconds of each call when no plugin is enabled, in a process like a push's."""
    with closing(Store(server.layout)) as store:
        hooks = Parts(server.layout, store).hooks
        for _ in range(CALLS):
            yield seconds(lambda: hooks.ask(Call("pre-build", "plugged")))


def push(repository: Repository, text: str) -> float:
    """Seconds that a push of a changed file takes."""
    repository.commit({"VERSION": text})
    return seconds(lambda: repository.push().ok())


@contextmanager
def enabled(server: Server, name: str) -> Iterator[None]:
    """One plugin in use, or none."""
    if not name:
        yield
        return
    server.paas("plugin:enable", name).ok()
    try:
        yield
    finally:
        server.paas("plugin:disable", name).ok()


def written(server: Server, name: str, hook: str) -> Path:
    """A plugin with one hook, whose program says nothing."""
    folder = server.folder / f"plugin-{name}"
    folder.mkdir()
    (folder / "plugin.toml").write_text(
        f'[plugin]\nname = "{name}"\ntitle = "{name}"\ndescription = "x"\n'
        f'[[hook]]\non = "{hook}"\nrun = ["true"]\n'
    )
    return folder
