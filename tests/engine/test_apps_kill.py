"""SIGKILL at every step of cloning and renaming an app: it has happened, or it has not."""

from __future__ import annotations

import re
from functools import partial

import pytest

from paas.deploy.clone import Cloning
from paas.deploy.parts import Parts
from paas.deploy.repository import Repository
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.env import Secret
from paas.model.report import Silent
from tests.engine.world import World, killed_at, steps_of
from tests.push.outcome import eventually
from tests.turns import in_turn

EVERYTHING = re.compile(r"/paas/(deploy|store)/")
ROOT = Caller("root", "root")
CONFIG = {"COLOUR": Secret("red"), "SIZE": Secret("7")}


@pytest.fixture(scope="module")
def old(world: World) -> App:
    """An app that is served and has been given something of everything."""
    app, store = world.app("old"), world.parts.store
    store.config.set(app.id, CONFIG)
    store.config.set_formation(app.id, {"web": 1})
    store.settings.set(app.id, "boot-seconds", "5")
    store.settings.set(app.id, "maintenance", "on")
    store.processes.set(app.id, "web", "stop-timeout", "3")
    world.deploy(app, 1)
    Repository(world.layout, app.id).ensure()
    return store.apps.get("old")


def clone(world: World, old: App, name: str, *, deploy: bool = False) -> App:
    parts = Parts(world.layout)
    cloning = Cloning(parts.pipeline, parts.attempts)
    return cloning.clone(old, name, ROOT, deploy=deploy, report=Silent())


def is_whole(world: World, app: App) -> bool:
    store = world.parts.store
    return (
        store.config.get(app.id) == CONFIG
        and store.config.formation(app.id) == {"web": 1}
        and store.settings.get(app.id, "boot-seconds") == "5"
        and store.settings.get(app.id, "maintenance") is None
        and store.processes.get(app.id, "web", "stop-timeout") == "3"
        and store.events.last(app.name, "created") is not None
    )


def test_a_clone_killed_at_any_step_is_whole_or_not_there(world: World, old: App) -> None:
    steps = steps_of(lambda: clone(world, old, "first"), EVERYTHING)
    happened = []
    for number, step in enumerate([steps[0], *in_turn(steps[1:], 2)]):
        name = f"clone{number}"
        assert killed_at(step, partial(clone, world, old, name), EVERYTHING), step
        app = world.parts.store.apps.find(name)
        happened.append(app is not None)
        if app is not None:
            assert is_whole(world, app), step
        else:
            # What was killed is in nobody's way.
            assert is_whole(world, clone(world, old, name)), step
    assert happened == sorted(happened)
    assert happened[0] is False


def test_a_clone_is_deployed_without_a_build(world: World, old: App) -> None:
    app = clone(world, old, "served", deploy=True)
    releases = world.parts.store.releases
    assert releases.get(app.id, 1).image == releases.get(old.id, 1).image
    assert releases.get(app.id, 1).config == CONFIG


def test_a_rename_killed_at_any_step_has_happened_or_not(world: World) -> None:
    app = world.app("name0")
    world.deploy(app, 1)

    def rename(app: App, new: str) -> None:
        Parts(world.layout).lifecycle.rename(app, new, actor="test", report=Silent())

    steps = steps_of(lambda: rename(app, "name1"), EVERYTHING)
    assert len(steps) > 3
    happened = []
    for number, step in enumerate(steps, 2):
        before = world.parts.store.apps.by_id(app.id)
        assert before is not None
        assert killed_at(step, partial(rename, before, f"name{number}"), EVERYTHING), step
        after = world.parts.store.apps.by_id(app.id)
        assert after is not None
        happened.append(after.name == f"name{number}")
        assert happened[-1] or after.name == before.name
    assert happened == sorted(happened)
    now = world.parts.store.apps.by_id(app.id)
    assert now is not None
    with world.supervised():
        eventually(lambda: world.version(now) == 1)
