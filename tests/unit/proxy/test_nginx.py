"""What an nginx says of itself, and what the kernel says of what it runs."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
from pathlib import Path

import pytest

from paas.host.firewall import LIBRARY
from paas.proxy.nginx import runs_replaced


def test_a_process_that_is_not_there_runs_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        runs_replaced(2**22 + 1)


def test_a_library_that_was_replaced_is_seen(tmp_path: Path) -> None:
    """As security updates replace OpenSSL's, of which the nginx that runs has the old one."""
    library, newer = tmp_path / "library with a name", tmp_path / "library.dpkg-new"
    shutil.copy2(path_of(ctypes.CDLL(LIBRARY)), library)
    ctypes.CDLL(str(library))
    assert not runs_replaced(os.getpid())
    shutil.copy2(library, newer)
    library.unlink()
    assert not runs_replaced(os.getpid()), "there is nothing to run instead"
    try:
        newer.replace(library)
        assert runs_replaced(os.getpid())
    finally:
        # We run it on.
        library.unlink()


def test_data_that_was_replaced_is_no_code(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"x" * mmap.PAGESIZE)
    with data.open("r+b") as opened, mmap.mmap(opened.fileno(), 0):
        data.unlink()
        data.write_bytes(b"y")
        assert f"{data} (deleted)" in Path("/proc/self/maps").read_text()
        assert not runs_replaced(os.getpid())


def path_of(library: ctypes.CDLL) -> Path:
    """The file that a library was loaded from."""
    name = library._name.split(".so")[0]
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in lines if f"/{name}.so" in line)
