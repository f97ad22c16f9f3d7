"""A disk that fills up during a load, a commit and a build; and a broken database."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.build.context import DirectoryContext
from paas.engine.config import ImageConfig
from paas.engine.registry import PullFailed
from paas.engine.unpack import LayerRefused
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.database import DatabaseBroken
from paas.host.disk import Disk, DiskFull
from paas.model.report import Silent
from tests.engine.machine import Machine
from tests.engine.others import builder
from tests.engine.storage import Storage

SIZE = 8 << 20


@pytest.fixture
def small() -> Iterator[Storage]:
    """An engine on a file system of its own of 8 MB, which nothing is kept free of."""
    with tempfile.TemporaryDirectory(prefix="paas-test-", dir="/var/tmp") as folder:
        syscalls.mount("paas-test", folder, "tmpfs", data=f"size={SIZE}")
        small = Storage(Path(folder, "root"))
        small.layers.disk = Disk(small.root, reserve=0, inodes=0)
        small.layers.prepare()
        try:
            yield small
        finally:
            small.destroy()
            syscalls.umount(folder)


def archive_of(storage: Storage, target: Path, files: int, size: int) -> Path:
    """An archive of an image with so many files of `size` random bytes."""

    def write(upper: Path) -> None:
        for number in range(files):
            (upper / f"f{number}").write_bytes(os.urandom(size))

    image = storage.images.add(ImageConfig(), [storage.layer(write)])
    storage.registry.save(image, "app", target, Silent(), oci=True)
    return target


def nothing_left(storage: Storage) -> None:
    assert storage.images.list() == []
    assert storage.layers.list() == []
    for place in ("fs/tmp", "scratch"):
        folder = storage.layout.engine / place
        assert not folder.is_dir() or list(folder.iterdir()) == []
    collected = storage.collector.collect()
    assert collected is not None
    assert [path.name for path in (storage.layout.engine_fs / "l").iterdir()] == ["0"]


def test_while_a_pull_downloads(small: Storage, storage: Storage, tmp_path: Path) -> None:
    archive = archive_of(storage, tmp_path / "large.tar", 2, SIZE)
    with pytest.raises((PullFailed, DiskFull), match=r"(?i)no space left|no room"):
        small.registry.load(archive, "app", Silent())
    nothing_left(small)


def test_while_a_layer_is_unpacked(small: Storage, storage: Storage, tmp_path: Path) -> None:
    """Each file takes a block of 4 KiB for its one byte: no sum of sizes foretells it."""
    archive = archive_of(storage, tmp_path / "many.tar", 2_500, 1)
    with pytest.raises(DiskFull, match="There is no room"):
        small.registry.load(archive, "app", Silent())
    nothing_left(small)


def test_a_layer_larger_than_the_room_is_refused_at_once(
    small: Storage, storage: Storage, tmp_path: Path
) -> None:
    archive = archive_of(storage, tmp_path / "image.tar", 1, 2 << 20)
    small.layers.disk = Disk(small.root, reserve=SIZE - (3 << 20), inodes=0)
    with pytest.raises((LayerRefused, DiskFull), match="room"):
        small.registry.load(archive, "app", Silent())
    nothing_left(small)
    small.layers.disk = Disk(small.root, reserve=SIZE)
    with pytest.raises(DiskFull, match=r"There is no room for .*image.tar"):
        small.registry.load(archive, "app", Silent())


def test_while_a_layer_is_committed(small: Storage) -> None:
    """The row cannot be written: the directory is nobody's, and is collected."""
    kept = small.layer(lambda upper: (upper / "kept").write_text("kept"))
    small.images.tag("kept", small.images.add(ImageConfig(), [kept]).id)
    upper = small.layers.new_upper()
    (upper / "file").write_text("content")
    filler = fill(small.root)
    with pytest.raises(PaasError, match=r"(?i)disk") as caught:
        small.layers.commit(upper)
    assert caught.value.resolution
    filler.unlink()
    assert small.collector.collect() is not None
    assert small.layers.list() == [kept]
    assert {path.name for path in (small.layout.engine_fs / "l").iterdir()} == {"0", kept}
    assert small.layers.damage(kept) is None
    assert small.layer() in small.layers.list()


def test_while_a_build_copies(small: Storage, tmp_path: Path) -> None:
    machine = Machine(small)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /large\n")
    (context / "large").write_bytes(os.urandom(2 * SIZE))
    made = builder(machine, tmp_path)
    tree = DirectoryContext(context, Silent(), 0)
    with pytest.raises(DiskFull, match="Dockerfile:2: COPY: There is no room for /large:"):
        made.build(tree, report=Silent())
    nothing_left(small)
    # What is kept free is not for it either.
    (context / "large").write_bytes(os.urandom(SIZE // 2))
    small.layers.disk = Disk(small.root, reserve=SIZE * 3 // 4, inodes=0)
    for keyword in ("COPY", "ADD"):
        (context / "Dockerfile").write_text(f"FROM scratch\n{keyword} large /large\n")
        with pytest.raises(DiskFull, match=f"Dockerfile:2: {keyword}: There is no room for "):
            made.build(DirectoryContext(context, Silent(), 0), report=Silent())
        nothing_left(small)
    small.layers.disk = Disk(small.root, reserve=0, inodes=0)
    (context / "large").write_text("small")
    image = made.build(DirectoryContext(context, Silent(), 0), report=Silent())
    assert (small.layers.path(image.layers[0]) / "large").read_text() == "small"
    small.layers.disk = Disk(small.root, reserve=1 << 40)
    with pytest.raises(DiskFull, match="There is no room for a build"):
        made.build(DirectoryContext(context, Silent(), 0), report=Silent())


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


@pytest.mark.parametrize("how", ["overwritten", "cut"])
def test_a_broken_database_is_named_with_what_to_do(storage: Storage, how: str) -> None:
    for _ in range(50):
        storage.layer()
    storage.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    storage.db.close()
    path = storage.layout.engine_database
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(bytes(4096) + whole[4096:] if how == "overwritten" else whole[:half])
    again = Storage(storage.root)
    with pytest.raises(DatabaseBroken, match=r"engine\.db") as caught:
        for layer in again.layers.list():
            again.layers.size(layer)
        again.images.list()
    assert caught.value.resolution
    again.db.close()
