"""SIGKILL at every step of a pull, a commit and a collection: the next one goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.engine.config import ImageConfig
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.host.files import remove_tree
from paas.model.report import Silent
from tests.engine.storage import Storage
from tests.engine.world import killed_at, steps_of
from tests.push.outcome import eventually
from tests.turns import in_turn

MODULES = re.compile(r"/paas/(engine/(registry|layers|images|unpack|gc)|host/files)\.py")
"""Where a function that is entered counts as a step."""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of two layers, which nothing here has."""
    maker = Storage()
    try:
        layers = [
            maker.layer(lambda upper: (upper / "low").write_text("low")),
            maker.layer(lambda upper: (upper / "high").write_text("high")),
        ]
        image = maker.images.add(ImageConfig(cmd=("/bin/true",)), layers)
        maker.registry.save(image, "app:v1", tmp_path / "app.tar", Silent(), oci=True)
    finally:
        maker.destroy()
    return tmp_path / "app.tar"


def apart(storage: Storage, work: Callable[[Storage], object]) -> Callable[[], None]:
    """`work` as a process of its own does it: over a connection of its own."""

    def act() -> None:
        own = Storage(storage.root)
        try:
            work(own)
        finally:
            own.db.close()

    return act


def collect_all(storage: Storage) -> None:
    """A child of what was killed may hold its lease until the kernel ends it too."""
    eventually(lambda: storage.collector.collect() is not None)


def forget(storage: Storage) -> None:
    """Have nothing any more."""
    for ref in storage.images.refs():
        storage.images.untag(ref)
    collect_all(storage)
    assert storage.layers.list() == []


def whole(storage: Storage, image: Image) -> None:
    """The image is all there, and there is nothing else."""
    low, high = image.layers
    assert (storage.layers.path(low) / "low").read_text() == "low"
    assert (storage.layers.path(high) / "high").read_text() == "high"
    collect_all(storage)
    assert {*storage.layers.list()} == {low, high}
    on_disk = {path.name for path in (storage.layout.engine_fs / "l").iterdir()}
    assert on_disk == {"0", low, high}
    assert all(storage.layers.damage(layer) is None for layer in image.layers)
    assert clean(storage)


def clean(storage: Storage) -> bool:
    """Whether nothing is half-made."""
    places = (storage.layout.engine_fs / "tmp", storage.layout.engine / "scratch")
    return not any(list(place.iterdir()) for place in places)


def test_a_pull_killed_at_any_step_is_done_by_the_next(storage: Storage, archive: Path) -> None:
    load = apart(storage, lambda own: own.registry.load(archive, "app", Silent()))
    steps = steps_of(load, MODULES)
    assert len(steps) > 20
    for step in in_turn(steps, 2):
        forget(storage)
        assert killed_at(step, load, MODULES), step
        for image in storage.images.list():
            # Its name is the last that it gets: what has none yet is collected.
            storage.images.tag("app", image.id)
            whole(storage, image)
        forget(storage)
        assert clean(storage)
    whole(storage, storage.registry.load(archive, "app", Silent()))


def test_a_commit_killed_at_any_step_leaves_a_whole_layer_or_none(storage: Storage) -> None:
    def commit(own: Storage) -> None:
        own.layer(lambda upper: (upper / "file").write_text("content"))

    steps = steps_of(apart(storage, commit), MODULES)
    assert len(steps) > 5
    for step in steps:
        before = {*storage.layers.list()}
        assert killed_at(step, apart(storage, commit), MODULES), step
        for layer in {*storage.layers.list()} - before:
            assert (storage.layers.path(layer) / "file").read_text() == "content"
            assert storage.layers.damage(layer) is None
    collect_all(storage)
    assert [path.name for path in (storage.layout.engine_fs / "l").iterdir()] == ["0"]
    assert list((storage.layout.engine_fs / "tmp").iterdir()) == []


def test_a_collection_killed_at_any_step_removed_nothing_that_is_needed(storage: Storage) -> None:
    def file(upper: Path) -> None:
        (upper / "file").write_text("content")

    kept, base, cached = storage.layer(file), storage.layer(file), storage.layer(file)
    released = storage.images.add(ImageConfig(), [base, kept])
    collect = apart(
        storage,
        lambda own: own.collector.collect(images=lambda: {released.id}, layers=lambda: {cached}),
    )

    def litter() -> LayerId:
        dead = storage.layer(file)
        storage.images.add(ImageConfig(env={"N": dead}), [base, dead])
        (storage.layers.new_upper() / "half").touch()
        return dead

    litter()
    steps = steps_of(collect, MODULES)
    assert len(steps) > 15
    for step in steps:
        litter()
        assert killed_at(step, collect, MODULES), step
        for layer in (kept, base, cached):
            assert (storage.layers.path(layer) / "file").read_text() == "content"
    collect()
    assert {*storage.layers.list()} == {kept, base, cached}
    assert storage.images.list() == [released]
    on_disk = {path.name for path in (storage.layout.engine_fs / "l").iterdir()}
    assert on_disk == {"0", kept, base, cached}
    assert list((storage.layout.engine_fs / "tmp").iterdir()) == []


def test_what_is_released_while_a_collector_waits_is_kept(storage: Storage) -> None:
    """What releases need is asked when nothing can be made any more, not before."""
    released: set[str] = set()
    with storage.layers.lease():
        image = storage.images.add(ImageConfig(), [storage.layer()])
    # Between the call and the lock another process ended its deploy.
    take = storage.layers.sweep_lock

    def late() -> object:
        released.add(image.id)
        return take()

    storage.layers.sweep_lock = late  # type: ignore[method-assign,assignment]
    collected = storage.collector.collect(images=lambda: released)
    assert collected is not None
    assert collected.images == ()
    assert storage.images.list() == [image]


def test_a_damaged_layer_is_named_and_pulled_again(storage: Storage, archive: Path) -> None:
    image = storage.registry.load(archive, "app", Silent())
    low, high = image.layers
    (storage.layers.path(low) / "low").write_text("")
    remove_tree(storage.layers.path(high))
    assert storage.layers.damage(low) == "files are missing or were changed"
    assert storage.layers.damage(high) == "its directory is missing"
    for layer in (low, high):
        storage.layers.condemn(layer)
    again = storage.registry.load(archive, "app", Silent())
    assert again.id == image.id
    assert not {*again.layers} & {low, high}
    whole(storage, again)
