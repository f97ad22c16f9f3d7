"""Atomic writes, safe removal, locks."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from paas.host.files import (
    FileLock,
    forget_unfinished,
    make_directory,
    remove_tree,
    write_atomic,
)


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(tmp_path / "file", b"new", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_write_replaces_a_symlink_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink()


def make(path: Path, mode: int = 0o750) -> bool:
    return make_directory(path, uid=os.getuid(), gid=os.getgid(), mode=mode)


def test_a_directory_that_cannot_be_made_raises_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(FileExistsError):
        make(tmp_path / "taken")
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "nowhere/new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_directory_that_somebody_made_first_stays_as_it_is(tmp_path: Path) -> None:
    """Also an empty one: its maker is about to fill it."""
    assert make(tmp_path / "one")
    before = (tmp_path / "one").stat()
    assert not make(tmp_path / "one", 0o700)
    assert (tmp_path / "one").stat() == before
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_directory_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert make(tmp_path / "new", 0o1777)
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o1777


def test_removal_never_follows_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tmp_path / "tree/inner").mkdir(parents=True)
    (tmp_path / "tree/inner/link").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "tree")
    assert (tmp_path / "outside/kept").exists()
    assert not (tmp_path / "tree").exists()


def test_removal_of_a_link_removes_the_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    remove_tree(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]


def test_what_a_killed_writer_left_is_forgotten_and_what_is_written_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, "fsync", killed)
        write_atomic(tmp_path / "file", "half")
        os._exit(0)
    os.waitpid(pid, 0)
    [left] = tmp_path.iterdir()
    under_way = tmp_path / f".file.{os.getpid()}.0123abcd"
    for path in (under_way, tmp_path / ".file.1x.0123abcd", tmp_path / "whole"):
        path.touch()
    forget_unfinished(tmp_path / "gone", tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 3


def test_removal_of_nothing_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "gone")
    remove_tree(tmp_path / "gone/deeper")


def test_removes_a_tree_deeper_than_the_stack(tmp_path: Path) -> None:
    """A container's root can make one; recursion or a descriptor each would fail on it."""
    top = tmp_path / "deep"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_tree(top)
    assert not top.exists()


def test_a_name_that_is_no_text_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.close(os.open(bytes(tmp_path / "tree") + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_held_lock_is_refused_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks/app.lock"
    with FileLock(path, "deploy 7 of blog, by alice"):
        other = FileLock(path, "deploy 8")
        assert not other.try_acquire()
        assert other.holder() == "deploy 7 of blog, by alice"
    assert other.try_acquire()
    other.release()
    assert other.holder() == ""
    assert path.exists()


def test_a_lock_is_held_though_the_disk_has_no_room_for_the_name_of_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    one, two = (FileLock(tmp_path / "lock", name) for name in ("one", "two"))
    with monkeypatch.context() as patch:
        patch.setattr("paas.host.files.os.write", full)
        assert one.try_acquire()
    assert not two.try_acquire()
    one.release()


def test_a_lock_object_is_taken_once(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with lock, pytest.raises(OSError) as caught:
        lock.try_acquire()
    assert caught.value.errno == errno.EDEADLK


def test_shared_holders_keep_a_single_one_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path, shared=True), FileLock(path, shared=True):
        assert not FileLock(path).try_acquire()
    assert FileLock(path).try_acquire()


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        FileLock(path).acquire()
        os.write(write, b"+")
        signal.pause()
    os.read(read, 1)
    lock = FileLock(path)
    assert not lock.try_acquire()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lock.try_acquire()
    for fd in (read, write):
        os.close(fd)


def test_a_forked_child_can_let_go_of_a_lock(tmp_path: Path) -> None:
    """A forked copy of the descriptor keeps the lock, until the child closes it."""
    path = tmp_path / "lock"
    lock = FileLock(path)
    lock.acquire()
    ready, say_ready = os.pipe()
    wait, end_wait = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end_wait)
        lock.release_after_fork()
        os.write(say_ready, b"+")
        os.read(wait, 1)
        os._exit(0)
    os.read(ready, 1)
    try:
        assert not FileLock(path).try_acquire()
        lock.release()
        assert lock.try_acquire()
    finally:
        for fd in (ready, say_ready, wait, end_wait):
            os.close(fd)
        os.waitpid(child, 0)
