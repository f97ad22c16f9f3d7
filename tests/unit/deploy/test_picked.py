"""A context of chosen files and one text more."""

from __future__ import annotations

from pathlib import Path

from paas.deploy.picked import Picked
from paas.engine.build.context import DirectoryContext, blob_id
from paas.model.report import Silent


def test_only_what_was_picked_is_there_with_the_directories_above_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/kept").write_text("kept")
    (tmp_path / "a/other").write_text("other")
    (tmp_path / "secret").write_text("secret")
    picked = Picked(DirectoryContext(tmp_path, Silent()), ["a/b/kept"], "File", "FROM scratch\n")
    assert list(picked.entries()) == ["a", "a/b", "a/b/kept", "File"]
    assert picked.read("a/b/kept") == b"kept"


def test_the_text_hides_a_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "File").write_text("theirs")
    picked = Picked(DirectoryContext(tmp_path, Silent()), ["File"], "File", "ours")
    assert picked.read("File") == b"ours"
    assert picked.entries()["File"].digest == blob_id(b"ours")
    with (tmp_path / "copy").open("wb") as file:
        picked.copy_to("File", file.fileno())
    assert (tmp_path / "copy").read_text() == "ours"
