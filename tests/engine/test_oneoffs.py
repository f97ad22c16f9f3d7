"""One-offs that nobody waits for, and joining instances: with real containers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.deploy.detached import NoSuchOneOff
from paas.deploy.draft import Draft
from paas.deploy.enter import Instances, NoSuchInstance
from paas.deploy.heal import Healing
from paas.deploy.running import log_directory
from paas.engine import logs
from paas.engine.call import RanTooLong
from paas.host.terminal import Terminal
from paas.model.app import App
from tests.engine.world import World
from tests.push.outcome import eventually


def draft(world: World, app: App) -> Draft:
    return world.parts.live(app)


def written(world: World, app: App, name: str) -> list[str]:
    [path] = log_directory(world.layout, app.id).glob(f"{name}.*.log")
    return logs.tail(path, 100)


class Files:
    """Descriptors of a caller that is no terminal."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.null = os.open(os.devnull, os.O_RDWR)
        self.descriptor = os.open(self.out, os.O_RDWR | os.O_CREAT, 0o600)
        self.terminal = Terminal(self.null, self.descriptor, self.descriptor, None)  # type: ignore[arg-type]

    def close(self) -> None:
        os.close(self.null)
        os.close(self.descriptor)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.close()


def test_a_command_that_does_not_exist_leaves_nothing(world: World, app: App) -> None:
    with pytest.raises(Exception, match="nope"):
        world.parts.detached.start(app, draft(world, app), ["/bin/nope"], {})
    assert world.parts.detached.list(app) == []


def test_a_detached_one_off_outlives_the_reaper_and_is_removed_at_its_end(
    world: World, app: App
) -> None:
    detached = world.parts.detached
    script = "echo $VERSION $A; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo over"
    name = detached.start(app, draft(world, app), ["/bin/sh", "-c", script], {"A": "b c"})
    Healing(world.parts.pipeline).reap()
    detached.settle()
    [one] = detached.list(app)
    assert (one.name, one.state, one.detached) == (name, "running", True)
    assert script in one.command
    null = os.open(os.devnull, os.O_RDWR)
    instances = Instances(world.parts.store, world.parts.engine)
    terminal = Terminal(null, null, null, None)  # type: ignore[arg-type]
    assert instances.enter(app, name, ["/bin/sh", "-c", "echo > /tmp/go"], terminal) == 0
    os.close(null)
    eventually(lambda: detached.list(app) == [])
    detached.settle()
    assert one.container not in [each.id for each in world.parts.engine.containers.list()]
    assert written(world, app, name) == ["7 b c", "over"]


def test_the_time_of_a_detached_one_off_ends(world: World, app: App) -> None:
    detached = world.parts.detached
    name = detached.start(app, draft(world, app), ["/bin/sleep", "600"], {}, ttl_s=-1.0)
    detached.settle()
    assert detached.list(app) == []
    assert written(world, app, name) == []


def test_one_offs_are_stopped_by_name_or_all(world: World, app: App) -> None:
    detached = world.parts.detached
    names = [detached.start(app, draft(world, app), ["/bin/sleep", "600"], {}) for _ in range(2)]
    with pytest.raises(NoSuchOneOff):
        detached.stop(app, "run.zzzz")
    assert detached.stop(app, names[0]) == [names[0]]
    assert detached.stop(app, None) == [names[1]]
    assert detached.list(app) == []


def test_a_run_that_takes_too_long_is_killed(world: World, app: App, files: Files) -> None:
    began = time.monotonic()
    argv = ["/bin/sleep", "600"]
    with pytest.raises(RanTooLong) as caught:
        world.parts.oneoff.run(app, draft(world, app), argv, {}, files.terminal, 0.3)
    assert caught.value.code == 124
    assert time.monotonic() - began < 30
    assert world.parts.detached.list(app) == []


def test_a_process_type_is_run_by_its_name(world: World, app: App) -> None:
    name = world.parts.detached.start(app, draft(world, app), ["web"], {"PORT": "5001"})
    [one] = world.parts.detached.list(app)
    assert (one.name, one.command) == (name, "web")
    world.parts.detached.stop(app, name)


def test_an_instance_is_joined(world: World, app: App, files: Files) -> None:
    instances = Instances(world.parts.store, world.parts.engine)
    script = ["/bin/sh", "-c", "echo $DYNO; exit 7"]
    assert instances.split(app, ["web.1", "ls"]) == ("web.1", ["ls"])
    assert instances.split(app, ["web", "ls"]) == ("web", ["ls"])
    assert instances.split(app, ["ls", "web.1"]) == (None, ["ls", "web.1"])
    for process in (None, "web", "web.1"):
        assert instances.enter(app, process, script, files.terminal) == 7
    assert files.out.read_text() == "web.1\n" * 3
    assert instances.enter(app, None, [], files.terminal) == 0, "a shell at its end of input"
    with pytest.raises(NoSuchInstance, match=r"runs no web\.9"):
        instances.enter(app, "web.9", script, files.terminal)
