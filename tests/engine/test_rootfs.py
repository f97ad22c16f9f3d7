"""Root filesystems on a real kernel: overlays in idmapped mounts."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.mounting import CannotMount
from paas.engine.pack import plain_capability
from paas.engine.userns import UserRange, open_user_namespace
from paas.host import syscalls
from tests.engine.storage import Storage, inside

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
"""cap_net_raw=ep, revision 2."""


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{path}/")]


@pytest.fixture
def without_idmap(tmp_path: Path) -> Iterator[Path]:
    """A file system that has no idmapped mounts."""
    syscalls.mount("ramfs", tmp_path, "ramfs")
    yield tmp_path
    syscalls.umount(tmp_path, syscalls.MNT_DETACH)


def test_a_file_system_without_idmap_is_refused_by_name(without_idmap: Path) -> None:
    storage = Storage(without_idmap / "root")
    try:
        with pytest.raises(CannotMount, match="without idmapped mounts") as caught:
            storage.rootfs.mount("c1", [], storage.range)
        assert str(storage.layout.engine_fs) in str(caught.value)
        assert mounts_below(storage.layout.run) == []
    finally:
        storage.destroy()


def test_a_failed_mount_leaves_nothing(storage: Storage) -> None:
    layer = storage.layer()
    storage.layers.path(layer).rmdir()
    (storage.layout.engine_fs / "l" / layer).write_text("a file where a directory was")
    with pytest.raises(Exception, match="missing"):
        storage.rootfs.mount("c1", [layer], storage.range)
    assert storage.rootfs.leftovers() == set()


def test_two_that_make_a_user_namespace_at_once_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each child has the other parent's pipes, which were open when it was forked."""
    meeting, fork, made = threading.Barrier(2), os.fork, list[int]()

    def together() -> int:
        meeting.wait(10)
        return fork()

    monkeypatch.setattr("os.fork", together)
    ours = UserRange(1 << 30, 65536)
    threads = [
        threading.Thread(target=lambda: made.append(open_user_namespace(ours)), daemon=True)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 2
    for descriptor in made:
        os.close(descriptor)


def test_unmounting_what_is_not_there_is_harmless(storage: Storage) -> None:
    storage.rootfs.unmount("never")
    storage.rootfs.mount("c1", [], storage.range)
    storage.rootfs.unmount("c1")
    storage.rootfs.unmount("c1")
    assert storage.rootfs.leftovers() == set()


def test_a_busy_root_is_unmounted(storage: Storage) -> None:
    root = storage.rootfs.mount("c1", [], storage.range)
    busy = os.open(root, os.O_RDONLY)
    try:
        storage.rootfs.unmount("c1")
        assert not root.exists()
    finally:
        os.close(busy)


def test_what_a_killed_process_left_is_listed_and_mounted_over(storage: Storage) -> None:
    root = storage.rootfs.mount("c1", [], storage.range)
    (root / "old").touch()
    again = Storage(storage.root)
    assert again.rootfs.leftovers() == {"c1"}
    root = again.rootfs.mount("c1", [], storage.range)
    assert list(root.iterdir()) == []
    again.rootfs.unmount("c1")
    assert mounts_below(storage.layout.run / "rootfs") == []


def test_another_range_cannot_reach_it(storage: Storage) -> None:
    root = storage.rootfs.mount("c1", [], storage.range)
    inside(storage.range, root, lambda: None)
    with pytest.raises(AssertionError, match="PermissionError"):
        inside(storage.ranges.range_for("app:2"), root, lambda: None)


def test_a_host_user_cannot_reach_setuid_files(storage: Storage) -> None:
    root = storage.rootfs.mount("c1", [], storage.range)
    for path in (root, storage.layout.run / "idmap" / str(storage.range.base)):
        assert path.parent.stat().st_mode & 0o077 == 0


def test_root_in_a_container_owns_its_files_and_nothing_else(storage: Storage) -> None:
    def base(upper: Path) -> None:
        (upper / "root").touch()
        (upper / "user").touch()
        os.chown(upper / "user", 1000, 1000)

    root = storage.rootfs.mount("c1", [storage.layer(base)], storage.range)

    def act() -> None:
        assert Path("/root").stat().st_uid == 0
        assert Path("/user").stat().st_uid == 1000
        Path("/user").write_text("copied up")
        with pytest.raises(PermissionError):
            os.mknod("/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
        with pytest.raises(OSError):
            os.chown("/user", 70000, 70000)

    inside(storage.range, root, act)


def test_what_a_container_writes_is_a_layer_with_ids_from_zero(storage: Storage) -> None:
    def base(upper: Path) -> None:
        (upper / "etc/old").mkdir(parents=True)
        (upper / "etc/gone").touch()
        (upper / "etc/old/inner").touch()

    low = storage.layer(base)
    upper = storage.layers.new_upper(low)
    root = storage.rootfs.mount("build", [low], storage.range, upper=upper)

    def act() -> None:
        Path("/file").write_text("mine")
        os.chown("/file", 5, 6)
        Path("/file").chmod(0o4755)
        os.setxattr("/file", "security.capability", CAPABILITY)
        Path("/etc/gone").unlink()
        Path("/etc/old/inner").unlink()
        Path("/etc/old").rmdir()
        Path("/etc/old").mkdir()

    inside(storage.range, root, act)
    storage.rootfs.unmount("build")
    layer = storage.layers.path(storage.layers.commit(upper))
    status = (layer / "file").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (5, 6, 0o4755)
    assert plain_capability(os.getxattr(layer / "file", "security.capability")) == CAPABILITY
    whiteout = (layer / "etc/gone").lstat()
    assert stat.S_ISCHR(whiteout.st_mode)
    assert whiteout.st_rdev == 0
    assert os.getxattr(layer / "etc/old", "trusted.overlay.opaque") == b"y"


def test_a_layer_written_by_one_app_is_used_by_another(storage: Storage) -> None:
    upper = storage.layers.new_upper()
    root = storage.rootfs.mount("build", [], storage.range, upper=upper)
    inside(storage.range, root, lambda: Path("/file").write_text("shared"))
    storage.rootfs.unmount("build")
    layer = storage.layers.commit(upper)
    other = storage.ranges.range_for("app:2")
    root = storage.rootfs.mount("run", [layer], other)

    def act() -> None:
        assert Path("/file").read_text() == "shared"
        assert Path("/file").stat().st_uid == 0

    inside(other, root, act)
    assert (root / "file").stat().st_uid == other.base


def test_what_a_container_writes_is_gone_with_it(storage: Storage) -> None:
    layer = storage.layer(lambda upper: (upper / "file").write_text("kept"))
    root = storage.rootfs.mount("c1", [layer], storage.range)
    (root / "file").write_text("changed")
    storage.rootfs.unmount("c1")
    assert (storage.layers.path(layer) / "file").read_text() == "kept"
    assert list((storage.layout.engine_fs / "u").iterdir()) == []


def test_128_layers_fit(storage: Storage) -> None:
    layers = [storage.layer(lambda upper, n=n: (upper / f"{n}").touch()) for n in range(128)]
    root = storage.rootfs.mount("c1", layers, storage.range)
    assert len(list(root.iterdir())) == 128


def test_the_same_layer_twice_is_the_higher_one(storage: Storage) -> None:
    twice = storage.layer(lambda upper: (upper / "file").write_text("twice"))
    between = storage.layer(lambda upper: (upper / "file").write_text("between"))
    root = storage.rootfs.mount("c1", [twice, between, twice], storage.range)
    assert (root / "file").read_text() == "twice"


def test_a_root_can_be_mounted_for_the_host_itself(storage: Storage, tmp_path: Path) -> None:
    layer = storage.layer(lambda upper: (upper / "low").touch())
    upper = storage.layers.new_upper(layer)
    storage.rootfs.overlay([layer], upper, tmp_path)
    try:
        (tmp_path / "new").touch()
        assert (tmp_path / "low").exists()
    finally:
        syscalls.umount(tmp_path)
    assert (upper / "new").stat().st_uid == 0


def test_teardown_leaves_no_mounts(storage: Storage) -> None:
    storage.rootfs.mount("c1", [], storage.range)
    storage.rootfs.mount("c2", [], storage.ranges.range_for("app:2"))
    storage.rootfs.teardown()
    assert mounts_below(storage.layout.run) == []


def test_a_released_range_is_mounted_again_when_asked(storage: Storage) -> None:
    before = storage.rootfs.idmapped(storage.range)
    storage.rootfs.release(storage.range)
    assert not before.exists()
    storage.rootfs.release(storage.range)
    assert storage.rootfs.idmapped(UserRange(storage.range.base)) == before
