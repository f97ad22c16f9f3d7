"""What is imported into a volume while instances that have it are started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.deploy.running import owner_of
from paas.deploy.storage import VolumeBusy
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.model.storage import Mounted
from tests.engine.shop import archive
from tests.engine.world import SERVE, World
from tests.killing import forked
from tests.push.outcome import eventually

VOLUME = "storage.data"


@pytest.fixture(scope="module")
def app(world: World) -> App:
    """It has a volume with a file, and does not run."""
    storage, app = world.parts.storage, world.app("importing")
    storage.create("data", owner=None, mode=0o755, size=None, actor="test")
    storage.mount(app, Mounted("data", "/data"), actor="test")
    world.deploy(app, 1, f"echo $VERSION > /data/kept; {SERVE}")
    stop(world, app)
    return world.parts.store.apps.get(app.name)


def stop(world: World, app: App) -> None:
    """At once; a supervisor would let connections end first."""
    world.parts.operations.stop(app, actor="test", report=Silent())
    for container in containers(world, app):
        world.parts.engine.containers.remove(container)


def containers(world: World, app: App) -> list[str]:
    found = world.parts.engine.containers.list()
    return [each.id for each in found if each.owner == owner_of(app.id)]


def files(layout: Layout) -> list[str]:
    """Those of the volume and, by their whole names, what is beside it."""
    folder = layout.engine_fs / "volumes"
    beside = [path.name for path in folder.iterdir() if path.name != VOLUME]
    return sorted([*beside, *(path.name for path in (folder / VOLUME).iterdir())])


def imported_around(world: World, meanwhile: Callable[[], object]) -> None:
    """Import an archive of which the second half comes behind `meanwhile`: it is refused."""
    reader, writer = os.pipe()
    storage, content = world.parts.storage, archive("new")

    def replace() -> None:
        os.close(writer)
        with pytest.raises(VolumeBusy):
            storage.replace("data", reader, actor="test")

    pid = forked(replace)
    os.close(reader)
    with os.fdopen(writer, "wb") as stream:
        stream.write(content[:1024])
        stream.flush()
        # It has found nobody who has the volume.
        eventually((world.layout.engine_fs / f"volumes/.{VOLUME}.import").exists)
        meanwhile()
        stream.write(content[1024:])
    assert os.waitpid(pid, 0)[1] == 0


def test_an_instance_that_was_started_meanwhile_keeps_its_volume(world: World, app: App) -> None:
    def start() -> None:
        world.parts.operations.start(app, actor="test", report=Silent())

    try:
        imported_around(world, start)
        [running] = containers(world, app)
        pid = world.parts.engine.containers.get(running).pid
        seen = Path(f"/proc/{pid}/root/data/kept")
        assert seen.samefile(world.layout.engine_fs / "volumes" / VOLUME / "kept")
        assert files(world.layout) == ["kept"]
    finally:
        stop(world, app)


@pytest.mark.parametrize("lock", ["deploy", "use"])
def test_nothing_is_replaced_while_an_instance_may_be_starting(
    world: World, app: App, lock: str
) -> None:
    held = FileLock(world.layout.locks / f"app-{app.id}.{lock}", shared=lock == "use")
    imported_around(world, held.acquire)
    held.release()
    assert files(world.layout) == ["kept"]


def test_who_begins_to_use_it_meanwhile_counts(world: World, app: App) -> None:
    other = world.app("later")
    held = FileLock(world.layout.locks / f"app-{other.id}.deploy")

    def mount() -> None:
        world.parts.storage.mount(other, Mounted("data", "/data"), actor="test")
        held.acquire()

    imported_around(world, mount)
    held.release()
    assert files(world.layout) == ["kept"]
