"""Runs a linter over the checkout the way `pytest tests/rules` and pre-commit both do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

TOP_LEVEL = ("paas", "buildpacks", "plugins", "proxy", "hooks", "tests", "vagrant")
"""The folders of DESIGN.md's layout; each says in a README what may be put there."""


def tracked(*patterns: str) -> list[Path]:
    """Files below the checkout that git knows or would add, by git's own globbing."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others",
         "--exclude-standard", "--", *patterns],
        capture_output=True, check=True,
    )  # fmt: skip
    names = (os.fsdecode(name) for name in listed.stdout.split(b"\0") if name)
    return sorted({path for name in names if (path := CHECKOUT / name).is_file()})


def program(name: str) -> str:
    """Where a tool is: beside this Python, or on PATH; without it the test skips."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; ./test.sh installs it")
    return found


def passes(*argv: str | Path) -> None:
    """Run a linter in the checkout and fail with what it printed."""
    done = subprocess.run(
        [str(argument) for argument in argv],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "FORCE_COLOR": ""},
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(f"{done.stdout}{done.stderr}".strip(), pytrace=False)
