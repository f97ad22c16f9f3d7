"""Layers and their collection: what a crash leaves, and what must never be removed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from paas.engine.config import ImageConfig
from paas.engine.layers import LayerId, LayerMissing
from paas.host.database import Unique
from tests.engine.storage import Storage


def test_only_a_directory_of_new_upper_becomes_a_layer(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="new_upper"):
        storage.layers.commit(tmp_path)
    assert tmp_path.is_dir()


def test_a_layer_missing_on_disk_is_named(storage: Storage) -> None:
    with pytest.raises(LayerMissing, match="Layer nosuch is missing"):
        storage.layers.stack([storage.layer(), LayerId("nosuch")])


def test_a_layer_of_an_image_cannot_be_removed(storage: Storage) -> None:
    layer = storage.layer()
    storage.images.add(ImageConfig(), [layer])
    with pytest.raises(Unique):
        storage.layers.remove(layer)
    assert storage.layers.path(layer).is_dir()


def test_the_tree_is_closed_to_everyone_else(storage: Storage) -> None:
    """Setuid files of images lie in it, owned by the host's root."""
    storage.layers.prepare()
    assert storage.layout.engine.stat().st_mode & 0o077 == 0


def test_a_commit_moves_and_copies_nothing(storage: Storage) -> None:
    upper = storage.layers.new_upper()
    (upper / "file").write_text("content")
    (upper.parent / "work/work").mkdir(parents=True)
    inode = (upper / "file").stat().st_ino
    layer = storage.layers.commit(upper)
    assert (storage.layers.path(layer) / "file").stat().st_ino == inode
    assert list((storage.layout.engine_fs / "tmp").iterdir()) == []
    assert storage.layers.size(layer) > 0


def test_a_root_looks_like_the_one_below(storage: Storage) -> None:
    def odd(upper: Path) -> None:
        os.chown(upper, 7, 8)
        upper.chmod(0o1711)

    assert storage.layers.new_upper().stat().st_mode & 0o7777 == 0o755
    status = storage.layers.new_upper(storage.layer(odd)).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (7, 8, 0o1711)


def test_a_stack_names_each_layer_once_and_the_highest_first(storage: Storage) -> None:
    low, high = storage.layer(), storage.layer()
    assert storage.layers.stack([low, high, low]) == [low, high]
    assert storage.layers.stack([]) == ["0"]


def test_abandoning_twice_is_harmless(storage: Storage) -> None:
    upper = storage.layers.new_upper()
    storage.layers.abandon(upper)
    storage.layers.abandon(upper)
    assert list((storage.layout.engine_fs / "tmp").iterdir()) == []


def test_collecting_waits_for_who_is_making_layers(storage: Storage) -> None:
    with storage.layers.lease():
        layer = storage.layer()
        assert storage.collector.collect() is None
        assert storage.layers.path(layer).is_dir()
    collected = storage.collector.collect()
    assert collected is not None
    assert collected.layers == (layer,)
    assert not (storage.layout.engine_fs / "l" / layer).exists()


def test_collecting_comes_behind_another_sweep(storage: Storage) -> None:
    """The supervisor sweeps every few seconds: `paas gc` would say that something is built."""
    sweep = storage.layers.sweep_lock()
    sweep.acquire()
    ends = threading.Timer(0.1, sweep.release)
    ends.start()
    assert storage.collector.collect() is not None
    ends.join()


def test_collecting_keeps_what_is_named_or_given(storage: Storage) -> None:
    shared, tagged, running, cached = (storage.layer() for _ in range(4))
    dead = storage.layer(lambda upper: (upper / "file").write_text("bytes"))
    named = storage.images.add(ImageConfig(), [shared, tagged])
    storage.images.tag("app", named.id)
    released = storage.images.add(ImageConfig(), [shared, running])
    unused = storage.images.add(ImageConfig(), [shared, dead])
    collected = storage.collector.collect(images=lambda: {released.id}, layers=lambda: {cached})
    assert collected is not None
    assert collected.images == (unused.id,)
    assert collected.layers == (dead,)
    assert collected.bytes > 0
    assert {*storage.layers.list()} == {shared, tagged, running, cached}


def test_collecting_removes_what_a_crash_left(storage: Storage) -> None:
    """Killed while it wrote an upper, and killed between the rename and the row."""
    kept = storage.layer()
    image = storage.images.add(ImageConfig(), [kept])
    storage.images.tag("app", image.id)
    (storage.layers.new_upper() / "half").touch()
    orphan = storage.layout.engine_fs / "l/zzzzzz"
    (orphan / "etc").mkdir(parents=True)
    transfer = storage.layout.engine / "scratch/transfer-x"
    transfer.mkdir(parents=True)
    collected = storage.collector.collect()
    assert collected is not None
    assert collected.layers == ()
    assert not orphan.exists()
    assert not transfer.exists()
    assert list((storage.layout.engine_fs / "tmp").iterdir()) == []
    assert {path.name for path in (storage.layout.engine_fs / "l").iterdir()} == {"0", kept}
