"""The logs of an app that is renamed: while logs are rotated, in vain, to the name it has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas.deploy.parts import Parts
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.report import Silent
from paas.store.apps import NameTaken
from tests.engine.world import World


@pytest.fixture
def app(world: World) -> Iterator[App]:
    """It has a log."""
    app = world.parts.store.apps.create("shop")
    log_of(world, app.name).write_text("a line\n")
    yield app
    renamed = world.parts.store.apps.by_id(app.id)
    assert renamed is not None
    world.parts.lifecycle.destroy(renamed, actor="test", report=Silent())


def log_of(world: World, name: str) -> Path:
    return world.parts.proxy.logs.of(name)


def test_a_rotation_in_the_middle_of_it_takes_no_log(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, others = Parts(world.layout), Parts(world.layout)
    waits = threading.Event()
    rename, transaction = parts.router.rename_logs, others.store.transaction

    def rotate() -> None:
        others.metrics.collect()
        others.store.close()

    rotation = threading.Thread(target=rotate)

    @contextmanager
    def awaited() -> Iterator[None]:
        waits.set()
        with transaction():
            yield

    def rename_logs(app: App, new: str) -> None:
        rename(app, new)
        rotation.start()
        assert wait_until(lambda: waits.is_set() or not rotation.is_alive(), 60)

    monkeypatch.setattr(others.store, "transaction", awaited)
    monkeypatch.setattr(parts.router, "rename_logs", rename_logs)
    parts.lifecycle.rename(app, "store", actor="test", report=Silent())
    rotation.join()
    assert log_of(world, "store").read_text() == "a line\n"


def test_one_that_is_not_written_down_moves_no_log(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    parts = Parts(world.layout)
    transaction = parts.store.transaction

    @contextmanager
    def failing() -> Iterator[None]:
        with transaction():
            yield
            raise OSError

    monkeypatch.setattr(parts.store, "transaction", failing)
    with pytest.raises(OSError):
        parts.lifecycle.rename(app, "store", actor="test", report=Silent())
    assert world.parts.store.apps.get("shop").id == app.id
    assert log_of(world, "shop").read_text() == "a line\n"
    assert not log_of(world, "store").exists()


def test_one_to_a_name_that_is_taken_moves_no_log(world: World, app: App) -> None:
    other = world.parts.store.apps.create("store")
    log_of(world, "store").write_text("another line\n")
    with pytest.raises(NameTaken):
        world.parts.lifecycle.rename(app, "store", actor="test", report=Silent())
    assert log_of(world, "shop").read_text() == "a line\n"
    assert log_of(world, "store").read_text() == "another line\n"
    world.parts.lifecycle.destroy(other, actor="test", report=Silent())


def test_one_to_its_own_name_keeps_its_logs(world: World, app: App) -> None:
    world.parts.lifecycle.rename(app, "shop", actor="test", report=Silent())
    assert log_of(world, "shop").read_text() == "a line\n"
