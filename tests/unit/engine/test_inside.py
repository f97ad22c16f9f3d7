"""Looking into a root filesystem that wants to lead out of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.engine import inside
from paas.engine.inside import CommandNotExecutable, CommandNotFound

PATH = {"PATH": "/usr/local/bin:/bin"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o755)
    (root / "bin/plain").write_text("text")
    (tmp_path / "secret").write_text("of the host")
    return root


def check(root: Path, command: str, cwd: str = "/", mounts: tuple[str, ...] = ()) -> None:
    inside.check_command(root, command, variables=PATH, cwd=cwd, mounts=mounts)


@pytest.mark.parametrize("link", ["../secret", "/../../secret", "/proc/self/root/etc/passwd"])
def test_links_lead_nowhere(root: Path, tmp_path: Path, link: str) -> None:
    (root / "etc/passwd").symlink_to(link)
    assert inside.read(root, "/etc/passwd") == ""
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to(tmp_path / "secret")
    assert inside.read(root, "/etc/passwd") == ""


def test_what_is_no_file_is_not_read(root: Path) -> None:
    os.mkfifo(root / "etc/group")
    assert inside.read(root, "/etc/group") == ""
    assert inside.read(root, "/etc") == ""
    assert inside.read(root, "/none/at/all") == ""


def test_a_large_file_is_cut(root: Path) -> None:
    with (root / "etc/passwd").open("w") as file:
        file.truncate(10 * inside.MAX_READ)
    assert len(inside.read(root, "/etc/passwd")) == inside.MAX_READ


@pytest.mark.parametrize("command", ["missing", "/missing", "./tool", "bin/none", "/bin/tool/x"])
def test_missing(root: Path, command: str) -> None:
    with pytest.raises(CommandNotFound, match=command):
        check(root, command)


@pytest.mark.parametrize("command", ["plain", "/bin/plain", "/bin"])
def test_not_executable(root: Path, command: str) -> None:
    with pytest.raises(CommandNotExecutable):
        check(root, command)


@pytest.mark.parametrize(
    ("command", "cwd"),
    [
        ("tool", "/"),
        ("/bin/tool", "/"),
        ("bin/tool", "/"),
        ("./tool", "/bin"),
        ("../bin/tool", "/etc"),
    ],
)
def test_found(root: Path, command: str, cwd: str) -> None:
    check(root, command, cwd)


def test_below_a_mount_anything_may_be(root: Path) -> None:
    check(root, "/data/serve", mounts=("/data",))
    with pytest.raises(CommandNotFound):
        check(root, "/database/serve", mounts=("/data",))


def test_a_link_in_the_image_is_followed_in_the_image(root: Path) -> None:
    (root / "bin/sh").symlink_to("/bin/tool")
    check(root, "sh")
