"""The size of a tree is du(1)'s, whatever its owner does to it meanwhile."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.host import syscalls, walk
from paas.host.files import remove_tree
from paas.host.sizes import tree_size

SIZE = 8192


def du(*trees: Path) -> int:
    """What du(1) counts below directories, itself not."""
    said = subprocess.run(
        ["du", "-sx", "--block-size=1", *trees], capture_output=True, check=True
    ).stdout.decode()
    counted = sum(int(line.split()[0]) for line in said.splitlines())
    return counted - sum(tree.stat().st_blocks * 512 for tree in trees)


def test_nothing_has_no_size(tmp_path: Path) -> None:
    assert tree_size(tmp_path / "gone") == 0
    assert tree_size(tmp_path) == 0


def test_a_tree_deeper_than_a_path_is_measured(tmp_path: Path) -> None:
    """A container's root can make one, and on the way back it is met where it was left."""
    top = tmp_path / "deep"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        for name in ("d", "e"):
            os.mkdir(name, dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    try:
        assert tree_size(top) == du(top)
    finally:
        remove_tree(top)


def test_what_is_removed_meanwhile_counts_as_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_bytes(b"x" * SIZE)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/inner").mkdir()
    going = threading.Event()

    def churn() -> None:
        while not going.is_set():
            (tmp_path / "there/file").write_bytes(b"")
            (tmp_path / "there/inner").rmdir()
            (tmp_path / "there/file").unlink()
            (tmp_path / "there/inner").mkdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        found = {tree_size(tmp_path) for _ in range(500)}
    finally:
        going.set()
        thread.join()
    assert min(found) >= SIZE


@pytest.mark.parametrize("change", [Path.rmdir, lambda path: path.rename(path.with_name("moved"))])
def test_a_directory_that_became_a_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * 10 * SIZE)
    (tree / "inner").mkdir(parents=True)
    real = syscalls.openat2

    def too_late(*arguments: object, **options: object) -> int:
        change(tree / "inner")
        (tree / "inner").symlink_to(outside)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(syscalls, "openat2", too_late)
    assert tree_size(tree) < 2 * SIZE


def test_a_tree_that_is_moved_away_below_the_walk_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing outside of it is counted, though `..` leads there by then."""
    monkeypatch.setattr(walk, "MAX_DEPTH", 1)
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/large").write_bytes(b"x" * 10 * SIZE)
    real = syscalls.openat2

    def then_move(where: int, name: str, *rest: int, **options: int) -> int:
        opened = real(where, name, *rest, **options)
        if name == "b":
            (tmp_path / "tree/a/b").rename(tmp_path / "elsewhere/b")
        return opened

    monkeypatch.setattr(syscalls, "openat2", then_move)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    assert tree_size(tmp_path / "tree") <= 2 * SIZE
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_holes_take_nothing_and_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * SIZE)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"x" * SIZE)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/")
    assert tree_size(tmp_path) == du(tmp_path) == 2 * SIZE


def test_what_another_tree_has_too_is_counted_there(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for tree in (one, two):
        tree.mkdir()
        (tree / "own").write_bytes(b"x" * SIZE)
    (one / "shared").write_bytes(b"x" * SIZE)
    (two / "shared").hardlink_to(one / "shared")
    seen: set[walk.Inode] = set()
    assert [tree_size(tree, seen) for tree in (one, two)] == [2 * SIZE, SIZE]
    assert du(one, two) == 3 * SIZE
