"""What killed deploys and heals leave running is ended before anything takes its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from paas.daemon.supervisor import Supervisor
from paas.deploy.fleet import Member
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.deploy.running import Runner, Running
from paas.host.files import FileLock
from paas.model.app import App
from tests.engine.world import World
from tests.killing import die, forked

WEB = Member("web", 1)


@pytest.fixture
def supervisor(world: World) -> Iterator[Supervisor]:
    """One that does what the test calls, and nothing else."""
    made = Supervisor(world.layout, FileLock(world.layout.locks / "supervisor", "test"))
    with closing(made._wake):
        yield made


def started_by_a_dying(world: World, app: App) -> int:
    """The process that starts an instance of the app, and dies before that has a row."""

    def start() -> None:
        parts = Parts(world.layout)
        parts.pipeline.runner.start(app, parts.live(app), WEB)
        die()

    return forked(start)


@pytest.fixture
def orphan(world: World, app: App) -> Iterator[str]:
    """An instance that nobody knows of."""
    before = containers(world)
    assert os.WIFSIGNALED(os.waitpid(started_by_a_dying(world, app), 0)[1])
    [made] = containers(world) - before
    yield made
    world.parts.engine.containers.remove(made)


def containers(world: World) -> set[str]:
    return {one.id for one in world.parts.engine.containers.list()}


def test_a_supervisor_ends_orphans_before_it_starts_anything(
    world: World, supervisor: Supervisor, orphan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_tidy_up", lambda: None)
    supervisor._settle()
    assert orphan not in containers(world)


def test_a_supervisor_goes_on_when_it_cannot(
    world: World, supervisor: Supervisor, orphan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no")

    tidied: list[bool] = []
    monkeypatch.setattr(supervisor, "_tidy_up", lambda: tidied.append(True))
    monkeypatch.setattr(Healing, "reap", broken)
    supervisor._settle()
    assert tidied
    assert orphan in containers(world)


def test_the_orphans_of_a_deploy_end_before_it_does(
    world: World, supervisor: Supervisor, orphan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has ended, what it holds is not healed."""
    seen: list[set[str]] = []
    monkeypatch.setattr(supervisor, "_settle_abandoned", lambda: seen.append(containers(world)))
    supervisor._tidy()
    assert len(seen) == 1
    assert orphan not in seen[0]


def test_a_heal_ends_what_a_killed_one_left(
    world: World, app: App, orphan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the supervisor lives, which tidies seldom."""
    seen = seen_at_starts(world, monkeypatch)
    healing = Healing(world.parts.pipeline)
    [instance] = world.parts.store.instances.list(app.id)
    world.parts.engine.containers.kill(instance.container)
    assert healing.crashed(instance)
    assert healing.heal(world.parts.store.apps.get(app.name), WEB)
    assert orphan not in set.union(*seen)


def test_a_deploy_ends_what_a_killed_one_left(
    world: World, app: App, orphan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_at_starts(world, monkeypatch)
    world.deploy(app, 8)
    assert orphan not in set.union(*seen)


def test_who_has_ended_goes_on_with_nothing_also_when_nobody_has_asked_for_it(
    world: World, app: App
) -> None:
    before = containers(world)
    zombie = started_by_a_dying(world, app)
    try:
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        Healing(world.parts.pipeline).reap()
        assert containers(world) == before
    finally:
        os.waitpid(zombie, 0)


def seen_at_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What containers there are when instances are about to be started, each time."""
    start_all, seen = Runner.start_all, []

    def started(*arguments: Any) -> list[Running]:
        seen.append(containers(world))
        return start_all(*arguments)

    monkeypatch.setattr(Runner, "start_all", started)
    return seen
