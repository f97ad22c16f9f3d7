"""The shape of the tree: sizes, READMEs, the changelog, no stand-ins."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.rules.tools import CHECKOUT, TOP_LEVEL, tracked

LONGEST_MODULE = 400
"""Lines. A module of ours is 80-160; one that passes this holds two ideas."""

LONGEST_FUNCTION = 80
"""Lines, docstring included. Most have ten."""


def test_no_module_is_longer_than_an_idea() -> None:
    lengths = {path: len(path.read_bytes().splitlines()) for path in tracked("paas/**/*.py")}
    assert {path: n for path, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_no_function_is_longer_than_a_screen_or_two() -> None:
    long = {
        f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.name}": span
        for path in tracked("paas/**/*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (span := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("folder", TOP_LEVEL)
def test_a_top_level_folder_says_what_may_be_put_there(folder: str) -> None:
    readme = CHECKOUT / folder / "README.md"
    assert readme.is_file(), f"{folder}/ has no README.md"
    assert readme.read_text().startswith("# "), f"{readme} has no title"


def test_only_the_folders_of_the_layout_are_at_the_top() -> None:
    folders = {path.relative_to(CHECKOUT).parts[0] for path in tracked("*/**")}
    assert {name for name in folders if not name.startswith(".")} <= set(TOP_LEVEL)


@pytest.mark.parametrize("folder", ["buildpacks", "plugins", "hooks", "vagrant"])
def test_a_content_folder_is_no_python_package(folder: str) -> None:
    assert tracked(f"{folder}/**/__init__.py", f"{folder}/__init__.py") == []


def test_a_git_hook_is_a_shim() -> None:
    """Twenty lines that exec the program (STYLE.md, 26)."""
    for path in tracked("hooks/*"):
        if path.suffix != ".md":
            assert len(path.read_text().splitlines()) <= 20, f"{path} is a program"


def test_nothing_is_left_for_later() -> None:
    """No stubs: a `NotImplementedError` or a to-do is a promise nobody keeps."""
    stub = re.compile(r"NotImplementedError|\b(?:TODO|FIXME|XXX)\b")
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}"
        for path in tracked("paas/**/*.py", "hooks/*", "*.sh")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if stub.search(line)
    ]
    assert found == []


def test_the_readme_opens_with_a_push() -> None:
    """Then come exactly two set-up commands, then the picture of the layers."""
    text = (CHECKOUT / "README.md").read_text()
    push, setup, layers = (
        text.index(part) for part in ("git push paas main", "install.sh", "cli |")
    )
    assert push < setup < layers


def test_every_change_in_the_changelog_is_one_line() -> None:
    changes = (CHECKOUT / "CHANGELOG.md").read_text().partition("\n## ")[2]
    for line in changes.splitlines()[1:]:
        assert not line or line.startswith(("## ", "- ")), line


def links_of(readme: Path) -> list[str]:
    """Targets of the relative links in a Markdown file."""
    return [
        target
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", readme.read_text())
        if "://" not in target
    ]


def test_no_readme_links_to_what_is_not_there() -> None:
    for readme in tracked("*.md", "**/*.md"):
        for target in links_of(readme):
            assert (readme.parent / target).exists(), f"{readme}: {target}"
