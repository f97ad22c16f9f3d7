"""Format, lint, types, layers and dependencies of the Python code."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.rules.tools import CHECKOUT, passes, program, tracked

THIN_CLIENTS = ("paas/daemon/client.py", "paas/daemon/remote.py", "paas/daemon/hook.py")
"""What somebody waits for in front of a terminal: started by `python3 -I -S`."""

PROTOCOL = frozenset({"paas.daemon.wire"})
"""Ours that a thin client may use: stdlib only itself, checked with them."""


def test_the_code_is_formatted() -> None:
    passes(program("ruff"), "format", "--check", "--diff", ".")


def test_the_linter_is_content() -> None:
    passes(program("ruff"), "check", ".")


def test_the_types_hold() -> None:
    passes(sys.executable, "-m", "mypy", "paas")


def test_imports_go_down_the_layers() -> None:
    passes(program("lint-imports"), "--no-cache")


def test_no_dependency_is_unused_or_undeclared() -> None:
    passes(program("deptry"), ".")


def imports(path: Path) -> set[str]:
    """Every module a file names in an import, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("name", THIN_CLIENTS)
def test_a_thin_client_needs_the_standard_library_alone(name: str) -> None:
    path = CHECKOUT / name
    if not path.exists():
        pytest.skip(f"{name} is not written yet")
    foreign = {
        module
        for module in imports(path) - PROTOCOL
        if module.split(".")[0] not in sys.stdlib_module_names
    }
    assert not foreign, f"{name} imports {sorted(foreign)}"


def test_a_package_file_holds_a_docstring_and_nothing_else() -> None:
    """The program kept in `__init__` is how import cycles begin (STYLE.md, 6)."""
    for path in tracked("paas/**/__init__.py", "paas/__init__.py"):
        body = ast.parse(path.read_bytes()).body
        assert [type(node) for node in body] == [ast.Expr], f"{path} is more than a docstring"
