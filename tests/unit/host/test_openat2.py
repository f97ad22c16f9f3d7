"""Paths that must not lead out, while others rename."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paas.engine import inside
from paas.host import syscalls

RENAMES = """
import os, sys
print(flush=True)
while True:
    os.rename("one", "two")
    os.rename("two", "one")
"""
LOOKS = 5_000


def test_a_rename_elsewhere_meanwhile_keeps_no_file_from_being_read(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/real").write_text("root:x:0:0\n")
    (root / "etc/passwd").symlink_to("../" * 40 + "etc/real")
    argv = [sys.executable, "-I", "-S", "-c", RENAMES]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE) as renaming:
        try:
            assert renaming.stdout is not None
            renaming.stdout.readline()
            assert {inside.read(root, "/etc/passwd") for _ in range(LOOKS)} == {"root:x:0:0\n"}
        finally:
            renaming.kill()


def test_a_file_that_stays_uncertain_is_an_error(tmp_path: Path) -> None:
    """The errno is a lease's as well, which whoever does not wait for its end is told."""
    file = tmp_path / "file"
    file.touch()
    holder = os.open(file, os.O_WRONLY)
    handler = signal.signal(signal.SIGIO, signal.SIG_IGN)  # whose the lease is is told by it
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    directory = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(BlockingIOError):
            syscalls.openat2(directory, "file", os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(directory)
        os.close(holder)
        signal.signal(signal.SIGIO, handler)
