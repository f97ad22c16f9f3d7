"""A directory as a build context: links stay links, special files are left out."""

import os
import socket
import stat
from pathlib import Path

import pytest

from paas.engine.build.context import DirectoryContext, blob_id
from paas.engine.build.dockerignore import unseen
from paas.engine.build.errors import ContextError


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def step(self, text: str) -> None: ...
    def result(self, text: str) -> None: ...
    def detail(self, text: str) -> None: ...
    def output(self, data: bytes) -> None: ...


def context(path: Path) -> tuple[DirectoryContext, Told]:
    told = Told()
    return DirectoryContext(path, told), told


def test_digests_are_gits(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello\n")
    entry = context(tmp_path)[0].entries()["f"]
    assert entry.digest == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert entry.digest == blob_id(b"hello\n")
    assert stat.S_ISREG(entry.mode)


def test_links_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("/etc")
    (tmp_path / "d").mkdir()
    found, _ = context(tmp_path)
    entries = found.entries()
    assert entries["l"].target == "/etc"
    assert found.read("l") == b"/etc"
    assert list(entries) == ["d", "l"]


def test_a_file_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    found, _ = context(tmp_path)
    found.entries()
    (tmp_path / "d").rename(tmp_path / "e")
    (tmp_path / "d").symlink_to("e")
    with pytest.raises(ContextError):
        found.read("d/f")


@pytest.mark.parametrize("size", [3, 5])
def test_a_file_that_was_changed_meanwhile_is_not_copied(tmp_path: Path, size: int) -> None:
    """Its digest was taken before: under it a cache would keep what is something else."""
    (tmp_path / "f").write_text("one")
    found, _ = context(tmp_path)
    found.entries()
    (tmp_path / "f").write_text("other"[:size])
    # The clock of files has ticks of some milliseconds.
    os.utime(tmp_path / "f", (5, 5))
    with (
        (tmp_path / "copy").open("wb") as target,
        pytest.raises(ContextError, match="f in the build context was changed"),
    ):
        found.copy_to("f", target.fileno())
    (tmp_path / "f").unlink()
    with pytest.raises(ContextError, match="f in the build context was changed"):
        found.read("f")


def test_what_is_not_seen_is_not_looked_at(tmp_path: Path) -> None:
    for name in ("d", "e"):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / "fifo")
        (tmp_path / name / "f").touch()
    (tmp_path / ".dockerignore").write_text("d\n**/fifo\n")
    told = Told()
    found = DirectoryContext(tmp_path, told, unseen=unseen(tmp_path, "Dockerfile"))
    assert list(found.entries()) == [".dockerignore", "e", "e/f"]
    assert told.warnings == []


def test_sockets_and_fifos_are_left_out_with_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "sock"))
        found, told = context(tmp_path)
        assert dict(found.entries()) == {}
    assert told.warnings == [
        "fifo is a fifo: left out of the build",
        "sock is a socket: left out of the build",
    ]


def test_names_in_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n")
    (tmp_path / name).write_text("x")
    assert list(context(tmp_path)[0].entries()) == [name]


def test_contents_are_copied_to_a_descriptor(tmp_path: Path) -> None:
    data = os.urandom(3 * 1024 * 1024)
    (tmp_path / "f").write_bytes(data)
    with (tmp_path / "copy").open("wb") as target:
        context(tmp_path)[0].copy_to("f", target.fileno())
    assert (tmp_path / "copy").read_bytes() == data


def test_the_time_is_the_newest_files(tmp_path: Path) -> None:
    for name, time in (("a", 5), ("b", 9)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    assert context(tmp_path)[0].mtime == 9
    assert DirectoryContext(tmp_path, Told(), 3).mtime == 3
