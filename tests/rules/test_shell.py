"""The shell here is production code: hooks, buildpacks, set-up scripts, the Vagrantfile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.rules.tools import CHECKOUT, passes, program, tracked

SHEBANGS = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")


def shell_scripts() -> list[Path]:
    """Every tracked file whose first line names a shell, whatever its name is."""
    return [
        path
        for path in tracked()
        if not path.is_symlink() and path.read_bytes()[:64].startswith(SHEBANGS)
    ]


def test_shellcheck_is_content() -> None:
    scripts = shell_scripts()
    assert scripts, "no shell script found: is the list broken?"
    passes(program("shellcheck"), "--external-sources", *scripts)


SCRIPTS = [
    "install.sh",
    "test.sh",
    ".ci/run",
    *(f"vagrant/{name}.sh" for name in ("acceptance", "nspawn", "qemu")),
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_a_person_starts_can_be_started(name: str) -> None:
    path = CHECKOUT / name
    assert path.is_file(), f"{name} is missing"
    assert path.stat().st_mode & 0o111, f"{name} is not executable"


def test_the_vagrantfile_is_valid(tmp_path: Path) -> None:
    """`vagrant validate` where it can be had; Debian 13 no longer ships it, Ruby it does."""
    vagrantfile = CHECKOUT / "vagrant/Vagrantfile"
    assert vagrantfile.is_file(), "vagrant/Vagrantfile is missing"
    vagrant = shutil.which("vagrant")
    if vagrant is None:
        passes(program("ruby"), "-c", vagrantfile)
        return
    passes(
        "env", f"VAGRANT_HOME={tmp_path}/home", f"VAGRANT_DOTFILE_PATH={tmp_path}/dot",
        f"VAGRANT_CWD={vagrantfile.parent}", "VAGRANT_CHECKPOINT_DISABLE=1",
        vagrant, "validate", "--ignore-provider",
    )  # fmt: skip
