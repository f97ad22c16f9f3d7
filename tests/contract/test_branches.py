"""What is a branch name is what git takes for one."""

from __future__ import annotations

import subprocess

import pytest

from paas.model.names import InvalidName, parse_branch

BRANCHES = ["main", "team/main", "a.b", "a-", "v1.0", "issue#7", "a@b", "ünïcode", "x" * 250, "a{"]

OTHERS = [
    "", "HEAD", "-x", "a..b", "a b", "a\n", "a\x7f", "~x", "x^", "a:b", "a?", "a*", "a[b",
    "a\\b", "a@{b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "..", ".",
]  # fmt: skip

STRICTER = ["@", "refs/heads/main", "x" * 251, "a\u200bb", "a\u202eb", "a\udcffb"]
"""Taken by git, and by nobody meant: its word for HEAD, a whole ref, no file name, nothing that a
terminal shows."""


def accepted(name: str) -> bool:
    try:
        return parse_branch(name) == name
    except InvalidName as error:
        assert "is not a branch name" in error.brief
        assert error.brief.isprintable()
        return False


def accepted_by_git(name: str) -> bool:
    # Not in a repository, where `@{-1}` would be looked up.
    asked = ["git", "check-ref-format", "--branch", name]
    return subprocess.run(asked, cwd="/", capture_output=True).returncode == 0


@pytest.mark.parametrize("name", BRANCHES + OTHERS)
def test_a_branch_is_one_for_git_too(name: str) -> None:
    assert accepted(name) == accepted_by_git(name) == (name in BRANCHES)


@pytest.mark.parametrize("name", STRICTER)
def test_what_only_git_takes_is_no_deploy_branch(name: str) -> None:
    assert accepted_by_git(name)
    assert not accepted(name)
