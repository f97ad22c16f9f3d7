"""Patterns of .dockerignore, by the examples of Docker's reference."""

import os
from pathlib import Path

import pytest

from paas.engine.build.context import ContextEntry, DirectoryContext
from paas.engine.build.dockerignore import Ignore, filtered, unseen
from paas.engine.build.errors import ContextError
from paas.model.report import Silent


@pytest.mark.parametrize(
    ("patterns", "excluded", "kept"),
    [
        ("*/temp*", ["a/temp", "a/temporary.txt", "a/tempdir/x"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["a/b/temp.txt"], ["a/temp", "a/b/c/temp"]),
        ("temp?", ["tempa", "tempb/x"], ["temp", "tempab", "a/tempa"]),
        ("**/*.go", ["x.go", "a/b/x.go"], ["x.gox"]),
        ("/a/b/", ["a/b", "a/b/c"], ["b"]),
        ("a/./b/../c", ["a/c"], ["a/b"]),
        ("*.md\n!README.md", ["x.md"], ["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["x.md"], ["README-secret.md"]),
        ("d\n!d/keep", ["d", "d/x"], ["d/keep"]),
        ("**", ["a", "a/b"], []),
        ("*\n!src/**", ["a", "src"], ["src/x", "src/y/z"]),
        ("# comment\n\n  # indented is a pattern\n \na", ["a"], ["# comment"]),
        ("a[0-9]\nb[^x]", ["a1", "by"], ["ax", "bx"]),
        (r"\!a", ["!a"], ["a"]),
        (r"x\*", ["x*"], ["xy"]),
        ("a.b", ["a.b"], ["axb"]),
        ("foo/**/bar", ["foo/bar", "foo/x/y/bar"], ["foo"]),
        ("abc/**", ["abc/x", "abc/x/y"], ["abc", "abcd"]),
    ],
)
def test_patterns(patterns: str, excluded: list[str], kept: list[str]) -> None:
    ignore = Ignore(patterns)
    assert [path for path in excluded if not ignore.excludes(path)] == []
    assert [path for path in kept if ignore.excludes(path)] == []


@pytest.mark.parametrize(
    ("patterns", "whole", "entered"),
    [
        ("d", ["d", "d/e"], ["c"]),
        ("d\n!d/keep/x", ["d/e", "d/keep/z"], ["d", "d/keep"]),
        ("*\n!src/*.go", ["lib", "src2"], ["src", "src/sub"]),
        ("*\n!**/*.go", [], ["lib", "lib/sub"]),
        ("*\n!a/*/x", ["b", "b/a"], ["a", "a/b", "a/b/x"]),
        ("d\n!d", [], ["d"]),
        ("*\n!e", ["d"], ["e"]),
    ],
)
def test_a_directory_is_entered_for_an_exception_alone(
    patterns: str, whole: list[str], entered: list[str]
) -> None:
    ignore = Ignore(patterns)
    assert [path for path in whole if not ignore.excludes_whole(path)] == []
    assert [path for path in entered if ignore.excludes_whole(path)] == []


@pytest.mark.parametrize("kind", ["link", "directory", "bytes"])
def test_what_is_no_text_file_is_refused_before_anything_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".dockerignore"
    if kind == "link":
        path.symlink_to("Dockerfile")
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\xff")
    with pytest.raises(ContextError, match=r"\.dockerignore is (a|not UTF-8)"):
        unseen(tmp_path, "Dockerfile")
    with pytest.raises(ContextError, match=r"\.dockerignore is (a|not UTF-8)"):
        filtered(DirectoryContext(tmp_path, Silent()), "Dockerfile")


def test_what_directs_a_build_is_read_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to("docker/current")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/current").symlink_to("../old/one")
    (tmp_path / ".dockerignore").write_text("*")
    os.mkfifo(tmp_path / "Dockerfile.dockerignore")
    found = unseen(tmp_path, "Dockerfile")
    assert found is not None
    for path in ("Dockerfile", "docker/current", "old/one", ".dockerignore"):
        assert not found.excludes(path)
    assert not found.excludes_whole("old")
    assert found.excludes_whole("other")
    (tmp_path / ".dockerignore").unlink()
    assert unseen(tmp_path, "Dockerfile") is None


def test_a_malformed_pattern_is_refused() -> None:
    with pytest.raises(ContextError, match="never closed"):
        Ignore("a[b")


def test_the_directories_of_an_exception_are_kept() -> None:
    paths = ["d", "d/e", "d/e/keep", "d/x", "z"]
    entries = {path: ContextEntry(path, 0, "", 0) for path in paths}
    assert list(Ignore("d\n!d/e/keep").kept(entries)) == ["d", "d/e", "d/e/keep", "z"]


def test_an_empty_file_ignores_nothing() -> None:
    entries = {"a": ContextEntry("a", 0, "", 0)}
    assert Ignore("\n# nothing\n.\n!\n").kept(entries) == entries
