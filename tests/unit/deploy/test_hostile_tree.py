"""Trees and object directories that no git would make: what a hostile push can hold."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from paas.deploy.objects import keep_objects
from paas.deploy.tree import MAX_DEPTH, GitContext, Objects, PushRefused

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
FILE, LINK, TREE = "100644", "120000", "40000"
Entry = tuple[str, bytes, str]


class Forge:
    """Writes objects as they are told, whatever git thinks of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        self.git("init", "-q", "--bare", "-b", "main", ".")

    def git(self, *words: str, data: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=ENV, input=data, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def write(self, kind: str, data: bytes) -> str:
        return self.git("hash-object", "--literally", "-w", "-t", kind, "--stdin", data=data)

    def tree(self, *entries: Entry) -> str:
        lines = (
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(value)
            for mode, name, value in entries
        )
        return self.write("tree", b"".join(lines))

    def commit(self, tree: str) -> str:
        who = "a <a@b> 1700000000 +0000"
        text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n"
        return self.write("commit", text.encode())

    def context(self, tree: str) -> GitContext:
        return GitContext(Objects(self.objects, self.objects), self.commit(tree))


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    folder = tmp_path / "forge"
    folder.mkdir()
    return Forge(folder)


@pytest.mark.parametrize("kind", [FILE, TREE, LINK])
@pytest.mark.parametrize(
    "name", [b"..", b".", b"", b"../../etc/cron.d/x", b"/etc/passwd", b"a/b", b"n" * 256]
)
def test_a_name_that_is_a_way_to_elsewhere_is_refused(forge: Forge, kind: str, name: bytes) -> None:
    blob = forge.write("blob", b"x")
    value = forge.tree((FILE, b"x", blob)) if kind == TREE else blob
    with pytest.raises(PushRefused):
        forge.context(forge.tree((kind, name, value))).entries()


def test_a_name_that_is_there_twice_is_one_thing(forge: Forge) -> None:
    blob = forge.write("blob", b"/etc")
    below = forge.tree((FILE, b"x", blob))
    entries = forge.context(forge.tree((LINK, b"a", blob), (TREE, b"a", below))).entries()
    assert (entries["a"].target is None) == ("a/x" in entries)


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 4096])
def test_a_link_that_cannot_be_is_refused(forge: Forge, target: bytes) -> None:
    with pytest.raises(PushRefused, match="symbolic link"):
        forge.context(forge.tree((LINK, b"l", forge.write("blob", target)))).entries()


def test_a_bottomless_tree_is_refused(forge: Forge) -> None:
    tree = forge.tree((FILE, b"x", forge.write("blob", b"x")))
    for _ in range(MAX_DEPTH + 1):
        tree = forge.tree((TREE, b"d", tree))
    with pytest.raises(PushRefused, match="directories deep"):
        forge.context(tree).entries()


def test_a_tree_that_multiplies_is_refused(forge: Forge) -> None:
    """Eight small objects that stand for a hundred million files."""
    tree = forge.tree(*((FILE, b"%02d" % n, forge.write("blob", b"x")) for n in range(10)))
    for _ in range(7):
        tree = forge.tree(*((TREE, b"%02d" % n, tree) for n in range(10)))
    with pytest.raises(PushRefused, match="more than"):
        forge.context(tree).entries()


def test_objects_of_the_wrong_kind_or_none_are_refused(forge: Forge) -> None:
    blob = forge.write("blob", b"x")
    for entry in ((TREE, b"a", blob), (TREE, b"a", "1" * 40)):
        with pytest.raises(PushRefused):
            forge.context(forge.tree(entry)).entries()
    with pytest.raises(PushRefused, match=r"cannot be read|damaged"):
        forge.context(forge.write("tree", b"no tree at all")).entries()


def quarantined(forge: Forge) -> Path:
    path = forge.objects / "tmp_objdir-incoming-1"
    (path / "pack").mkdir(parents=True)
    return path


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_only_files_are_kept_of_a_quarantine(forge: Forge, tmp_path: Path, kind: str) -> None:
    quarantine = quarantined(forge)
    planted = quarantine / "pack/pack-1.pack"
    os.mkfifo(planted) if kind == "fifo" else planted.symlink_to("/etc/shadow")
    with pytest.raises(PushRefused, match="no file of git's"):
        keep_objects(quarantine, Objects(quarantine, forge.objects), tmp_path / "kept")


def test_a_directory_that_is_a_link_is_not_entered(forge: Forge, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ("1" * 38)).write_text("x")
    quarantine = quarantined(forge)
    (quarantine / "11").symlink_to(outside)
    (quarantine / "info").mkdir()
    (quarantine / "info/alternates").write_text(f"{outside}\n")
    keep_objects(quarantine, Objects(quarantine, forge.objects), tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["pack"]
