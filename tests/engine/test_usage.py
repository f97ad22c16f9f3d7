"""What `paas df` says takes the room, and what `paas gc` then frees of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.deploy.parts import Parts
from paas.deploy.usage import Usage, space, usage
from paas.engine.config import ImageConfig
from paas.host.files import FileLock, remove_tree
from paas.model.layout import Layout

MIB = 1 << 20


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(Layout.at(tmp_path / "root"))
    yield parts
    parts.engine.database.close()
    parts.store.close()


def found(parts: Parts) -> dict[str, Usage]:
    return {one.kind: one for one in usage(parts.layout, parts.engine, parts.housekeeping)}


def image(parts: Parts, name: str = "") -> None:
    """An image of a MiB that no other has."""
    upper = parts.engine.layers.new_upper()
    (upper / "file").write_bytes(os.urandom(MIB))
    made = parts.engine.images.add(ImageConfig(), [parts.engine.layers.commit(upper)])
    if name:
        parts.engine.images.tag(name, made.id)


def test_what_gc_would_free_is_what_it_frees(parts: Parts) -> None:
    image(parts, "kept:1")
    image(parts)
    before = found(parts)["images"]
    assert before.count == 2
    assert 2 * MIB <= before.bytes < 3 * MIB
    assert MIB <= before.reclaimable < 2 * MIB
    freed = parts.housekeeping.collect()
    assert freed is not None
    assert freed.bytes == before.reclaimable
    after = found(parts)["images"]
    assert (after.count, after.reclaimable) == (1, 0)
    assert after.bytes == before.bytes - before.reclaimable


def test_volumes_are_counted_and_the_disk_is_told_as_statvfs_has_it(parts: Parts) -> None:
    parts.storage.create("data", owner=None, mode=0o755, size=None, actor="ann")
    empty = found(parts)["volumes"]
    (parts.layout.engine_fs / "volumes/storage.data/file").write_bytes(os.urandom(MIB))
    full = found(parts)["volumes"]
    assert (empty.count, full.count) == (1, 1)
    assert MIB <= full.bytes - empty.bytes < 2 * MIB
    assert 0 < space(parts.layout).free <= space(parts.layout).total


def test_downloads_are_counted_and_gc_drops_those_that_nobody_uses(parts: Parts) -> None:
    downloads = parts.engine.builder.tools.remotes.downloads
    folders = [downloads.directory / (digit * 64) for digit in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
        for name in ("body", "new"):
            (folder / name).write_bytes(bytes(MIB))
    whole = found(parts)["downloads"]
    assert (whole.count, whole.reclaimable) == (2, whole.bytes)
    assert 4 * MIB <= whole.bytes < 5 * MIB
    # Hourly, what a killed fetch left.
    assert parts.housekeeping.collect() is not None
    assert [path.name for folder in folders for path in folder.iterdir()] == ["body", "body"]
    with downloads.lock(folders[0]):
        assert MIB <= parts.images.collect().bytes < 2 * MIB
        assert [*downloads.directory.iterdir()] == folders[:1]
    assert MIB <= parts.images.collect().bytes < 2 * MIB
    assert found(parts)["downloads"].bytes == 0


def test_a_download_that_another_removes_first_is_passed_over(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = parts.engine.builder.tools.remotes.downloads
    folder = downloads.directory / ("a" * 64)
    folder.mkdir(parents=True)
    lock = downloads.lock

    def behind_another(folder: Path) -> FileLock:
        remove_tree(folder)
        return lock(folder)

    monkeypatch.setattr(downloads, "lock", behind_another)
    assert downloads.prune(0, parts.clock.now()) == 0
