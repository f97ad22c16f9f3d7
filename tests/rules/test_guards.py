"""The nets under the other tests hold: see `tests/conftest.py`."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__)
CHECKOUT = HERE.parents[2]


@pytest.mark.parametrize("path", ["/var/lib/paas/paas.db", "/run/paas/containers/x"])
def test_opening_a_file_of_the_installed_paas_explodes(path: str) -> None:
    with pytest.raises(AssertionError, match="root of its own"):
        Path(path).write_text("")


def test_making_its_directory_explodes() -> None:
    with pytest.raises(AssertionError, match="root of its own"):
        Path("/var/lib/paas").mkdir()


def test_its_database_and_its_socket_explode() -> None:
    with pytest.raises(AssertionError, match="root of its own"):
        sqlite3.connect("/var/lib/paas/paas.db")
    with (
        socket.socket(socket.AF_UNIX) as client,
        pytest.raises(AssertionError, match="root of its own"),
    ):
        client.connect("/run/paas/paasd.sock")


def test_a_neighbour_with_a_similar_name_is_nobody_s_business(tmp_path: Path) -> None:
    (tmp_path / "var-lib-paas").write_text("fine")
    assert not Path("/var/lib/paas-test-that-is-not-there").exists()


@pytest.mark.parametrize(
    "body", ["def test_it(): pytest.skip('no tool')", "pytest.importorskip('nix')"]
)
@pytest.mark.parametrize(("ci", "code"), [("true", {1, 2}), ("", {0, 5})])
def test_a_skip_fails_in_ci_and_only_there(
    body: str, ci: str, code: set[int], tmp_path: Path
) -> None:
    """A real pytest over a copy of the real conftest."""
    ring = tmp_path / "unit"
    ring.mkdir()
    (tmp_path / "conftest.py").write_text((CHECKOUT / "tests/conftest.py").read_text())
    (ring / "test_skips.py").write_text(f"import pytest\n{body}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", str(tmp_path), str(ring)],
        env={"PATH": os.environ["PATH"], "CI": ci},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in code, done.stdout
    assert ("skipped in CI" in done.stdout) == bool(ci)
