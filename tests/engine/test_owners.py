"""Whose the files of a server are on a machine where its users have other numbers."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.daemon import ground
from paas.daemon.owners import settle_owners
from paas.host.files import remove_tree
from paas.model.layout import Layout

OLD = 54321
"""The number of the git user where the data come from."""


@pytest.fixture
def layout() -> Iterator[Layout]:
    layout = Layout.at(tempfile.mkdtemp(prefix="paas-test-", dir="/var/tmp"))
    ground.prepare(layout)
    yield layout
    ground.clear(layout)
    remove_tree(layout.run)
    remove_tree(layout.root)


def tree(layout: Layout) -> dict[str, tuple[int, int]]:
    """Path to owner and group of everything that the git user has files among."""
    paths = [path for name in ("repos", "git") for path in (layout.root / name).rglob("*")]
    found = {str(path.relative_to(layout.root)): path.lstat() for path in paths}
    return {name: (status.st_uid, status.st_gid) for name, status in found.items()}


def make(path: Path, uid: int, gid: int, text: str | None = None) -> Path:
    """A directory, or a file with a text."""
    if text is None:
        path.mkdir(parents=True)
    else:
        path.write_text(text)
    os.chown(path, uid, gid)
    return path


def moved(layout: Layout) -> dict[str, tuple[int, int]]:
    """Lay a repository and a key as they come from elsewhere; how they should be."""
    git = pwd.getpwnam(layout.git_user)
    own = (git.pw_uid, git.pw_gid)
    repository = make(layout.repo(1), 0, OLD)
    repository.chmod(0o1770)
    objects = make(repository / "objects", OLD, OLD)
    make(objects / "pack", OLD, OLD, "")
    make(repository / "config", 0, 0, "")
    (objects / "link").symlink_to("/etc/passwd")
    os.chown(objects / "link", OLD, OLD, follow_symlinks=False)
    make(make(layout.root / "git", 0, 0) / "id_ed25519", OLD, OLD, "").chmod(0o600)
    make(layout.root / "git/known_hosts", 0, 0, "")
    return {
        "repos/1.git": (0, own[1]),
        "repos/1.git/config": (0, 0),
        "repos/1.git/objects": own,
        "repos/1.git/objects/pack": own,
        "repos/1.git/objects/link": own,
        "git/id_ed25519": own,
        "git/known_hosts": (0, 0),
    }


def test_the_git_user_has_its_files_again_and_roots_stay_roots(layout: Layout) -> None:
    wanted, before = moved(layout), Path("/etc/passwd").stat()
    settle_owners(layout)
    assert tree(layout) == wanted
    assert layout.repo(1).stat().st_mode & 0o7777 == 0o1770
    assert Path("/etc/passwd").stat().st_uid == before.st_uid


def test_what_a_killed_start_did_half_is_ended_by_the_next(layout: Layout) -> None:
    wanted = moved(layout)
    os.chown(layout.repo(1) / "objects/pack", *wanted["repos/1.git/objects"])
    ground.prepare(layout)
    assert tree(layout) == wanted


def test_a_group_that_has_the_same_number_hides_nothing(layout: Layout) -> None:
    wanted = moved(layout)
    os.chown(layout.repo(1), *wanted["repos/1.git"])
    settle_owners(layout)
    assert tree(layout) == wanted
