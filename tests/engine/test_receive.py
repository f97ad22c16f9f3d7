"""A push that waits for its turn while something else moves its branch."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread

import pytest

from paas.deploy.delivery import Fetcher
from paas.deploy.parts import Parts
from paas.deploy.receive import Pushed
from paas.deploy.refs import RefUpdate
from paas.deploy.repository import Repository
from paas.errors import PaasError
from paas.host.clock import SystemClock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.report import Report, Silent
from tests.engine.world import BASE, SERVE, World

NONE = "0" * 40
REMOTE = "https://github.com/a/b"


class WhileItWaits(SystemClock):
    """A clock whose first sleeper sees something happen."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = [happens]

    def sleep(self, seconds: float) -> None:
        if self._happens:
            self._happens.pop()()
        else:
            super().sleep(seconds)


@pytest.fixture(scope="module")
def app(world: World) -> App:
    """An app whose repository has no branch yet."""
    app = world.app("pushed")
    Repository(world.layout, app.id).ensure()
    return app


def commit(world: World, app: App, version: int) -> str:
    """A commit that serves that version."""
    text = f"FROM {BASE}\nENV VERSION={version}\nCMD {SERVE}\n"
    return world.commit(app, {"Dockerfile": text})


def told(error: BaseException, report: Report) -> int:
    """The words of an error in the push's output."""
    assert isinstance(error, PaasError), error
    report.warn("; ".join((error.brief, *error.details, error.resolution)))
    return 1


def push(world: World, app: App, update: RefUpdate, clock: SystemClock) -> tuple[int, str]:
    """What the hook is answered, and what the user reads."""
    parts = Parts(world.layout, clock=clock)
    read, write = os.pipe()
    said: list[str] = []
    with os.fdopen(read) as file:
        reader = Thread(target=lambda: said.append(file.read()))
        reader.start()
        receiving = parts.receiving(app, told)
        code = receiving._deploy(app, "ann", Pushed([update], {}, write))
        reader.join()
    return code, said[0]


def held_until(world: World, app: App, happens: Callable[[], object]) -> WhileItWaits:
    """Another deploy of the app, which ends once that has happened."""
    other = world.parts.attempts.exclusive(app, "another deploy")
    other.acquire()

    def end() -> None:
        happens()
        other.release()

    return WhileItWaits(end)


def test_a_push_whose_branch_was_moved_meanwhile_is_refused_before_it_is_built(
    world: World, app: App
) -> None:
    """git would refuse it behind its hook, with the code live."""
    place = Repository(world.layout, app.id)
    first, other, second = (commit(world, app, version) for version in (1, 2, 3))
    update = RefUpdate(NONE, first, "refs/heads/main")
    code, said = push(world, app, update, held_until(world, app, lambda: None))
    assert code == 0, said
    assert world.version(app) == 1
    place.settle("main", first)

    now = world.parts.store.apps.get(app.name)
    update = RefUpdate(first, second, "refs/heads/main")
    clock = held_until(world, app, lambda: place.settle("main", other))
    code, said = push(world, now, update, clock)
    assert code == 1
    assert f"main was moved to {other[:8]}" in said
    assert "git fetch" in said
    assert world.version(app) == 1
    assert world.parts.store.apps.get(app.name) == now


def test_git_sync_moves_no_branch_under_a_push(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Repository(world.layout, app.id)
    place.settle("main", commit(world, app, 4))
    fetched = commit(world, app, 5)
    monkeypatch.setattr(Fetcher, "fetch", lambda *_: fetched)
    pushing = place.receiving()
    pushing.acquire()
    seen: list[str | None] = []

    def end(lock: FileLock) -> None:
        # It is about to wait for the push, which ends now.
        seen.append(place.at("main"))
        pushing.release()
        acquire(lock)

    acquire = FileLock.acquire
    receive = f"app-{app.id}.receive"
    monkeypatch.setattr(
        FileLock,
        "acquire",
        lambda lock: end(lock) if lock.path.name == receive else acquire(lock),
    )
    world.parts.delivery.sync(app, REMOTE, None, report=Silent())
    assert seen == [commit(world, app, 4)]
    assert place.at("main") == fetched
