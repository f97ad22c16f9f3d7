"""Patterns of .dockerignore, by the examples of Docker's reference."""

import pytest

from paas.engine.build.context import ContextEntry
from paas.engine.build.dockerignore import Ignore
from paas.engine.build.errors import ContextError


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
