"""Destroying and renaming an app while others do, and what a killed destruction leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paas.deploy.asking import Asking
from paas.deploy.lifecycle import Lifecycle
from paas.deploy.parts import Parts
from paas.deploy.running import log_directory, owner_of
from paas.model.app import App
from paas.model.report import Silent
from paas.store.apps import AppNotFound
from tests.engine.world import World


def destroy(world: World, app: App) -> None:
    Parts(world.layout).lifecycle.destroy(app, actor="ann", report=Silent())


def told(world: World, name: str) -> list[str]:
    return [event.what for event in world.parts.store.events.tail(100, name)]


@pytest.fixture
def before_it(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has something happen once while a destruction is still asking."""

    def set_up(happens: Callable[[], object]) -> None:
        once = [happens]
        monkeypatch.setattr(Asking, "pre_destroy", lambda *_: once and once.pop()())

    return set_up


def test_a_name_that_is_another_app_s_by_now_takes_that_one_nowhere(
    world: World, before_it: Callable[[Callable[[], object]], None]
) -> None:
    store = world.parts.store
    meant = world.deployed("moved")
    made: list[App] = []

    def exchange() -> None:
        world.parts.lifecycle.rename(meant, "moved-on", actor="bob", report=Silent())
        made.append(world.deployed("moved", 2))

    before_it(exchange)
    destroy(world, meant)
    assert store.apps.by_id(meant.id) is None
    assert store.apps.get("moved").id == made[0].id
    assert world.version(made[0]) == 2
    assert (told(world, "moved-on"), told(world, "moved")[-1]) == (
        ["renamed", "destroyed"],
        "released",
    )
    destroy(world, made[0])


def test_of_two_who_destroy_an_app_one_is_told_that_it_is_gone(
    world: World, before_it: Callable[[Callable[[], object]], None]
) -> None:
    app = world.app("twice")

    def again() -> None:
        destroy(world, app)
        world.app("twice")

    before_it(again)
    with pytest.raises(AppNotFound):
        destroy(world, app)
    assert world.parts.store.apps.get("twice").id != app.id
    with pytest.raises(AppNotFound):
        world.parts.lifecycle.rename(app, "thrice", actor="ann", report=Silent())
    destroy(world, world.parts.store.apps.get("twice"))


def test_a_rename_names_the_app_that_was_meant(world: World) -> None:
    store, lifecycle = world.parts.store, world.parts.lifecycle
    meant = world.app("first-name")
    lifecycle.rename(meant, "second-name", actor="ann", report=Silent())
    other = world.app("first-name")
    assert lifecycle.rename(meant, "third-name", actor="ann", report=Silent()).id == meant.id
    assert store.apps.get("first-name") == other
    assert store.events.tail(1, "third-name")[0].detail == "from second-name"
    for app in store.apps.get("third-name"), other:
        destroy(world, app)


class Killed(BaseException):
    """The end of a process, in which nobody puts anything right."""


def test_an_app_of_an_image_that_was_destroyed_half_way_is_cleared_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never had a repository, by which the rest of other apps is found."""
    app, network = world.deployed("of-an-image"), world.parts.engine.network
    assert not world.layout.repo(app.id).exists()
    world.parts.networks.create("lan", actor="ann")
    world.parts.networks.put(app, ["lan"], [], actor="ann")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Lifecycle, "_clear", raises(Killed()))
        destroy(world, app)
    assert world.parts.store.apps.by_id(app.id) is None
    assert log_directory(world.layout, app.id).exists()

    world.parts.lifecycle.sweep(Silent())
    assert network.services_of(f"{owner_of(app.id)}/") == []
    assert network.named.members() == []
    assert world.parts.engine.ranges.find(owner_of(app.id)) is None
    assert not log_directory(world.layout, app.id).exists()
    assert not world.layout.repo(app.id).exists()
    world.parts.networks.destroy("lan", actor="ann")


def raises(error: BaseException) -> Callable[..., object]:
    def function(*_: object) -> object:
        raise error

    return function
