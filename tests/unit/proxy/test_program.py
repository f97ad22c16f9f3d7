"""What an nginx says that it was built with, and how rarely it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.processes import ProcessFailed
from paas.proxy.program import Builds, version_of


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return replace(tmp_path / "nginx", "nginx version: nginx/1.22.1")


def replace(program: Path, says: str, code: int = 0) -> Path:
    """As a package manager does; it counts how often it is asked."""
    newer = program.with_suffix(".dpkg-new")
    newer.write_text(f'#!/bin/sh\n[ "$1" = -V ] || exit 9\necho asked >>{program}.asked\n'
                     f"echo '{says}' >&2\nexit {code}\n")  # fmt: skip
    newer.chmod(0o755)
    newer.replace(program)
    return program


def asked(program: Path) -> int:
    return len(program.with_name("nginx.asked").read_text().splitlines())


def test_one_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Builds(tmp_path / "build").of(str(tmp_path / "nginx"))
    assert not (tmp_path / "build").exists()


def test_one_that_fails_is_not_remembered(program: Path, tmp_path: Path) -> None:
    replace(program, "no library", code=1)
    for _ in range(2):
        with pytest.raises(ProcessFailed, match="no library"):
            Builds(tmp_path / "build").of(str(program))
    assert asked(program) == 2


def test_all_processes_together_ask_once(program: Path, tmp_path: Path) -> None:
    said = [Builds(tmp_path / "build").of(str(program)) for _ in range(3)]
    assert said == ["nginx version: nginx/1.22.1\n"] * 3
    assert asked(program) == 1


def test_one_that_was_replaced_is_asked_again(program: Path, tmp_path: Path) -> None:
    builds = Builds(tmp_path / "build")
    builds.of(str(program))
    replace(program, "nginx version: nginx/1.26.3")
    assert version_of(builds.of(str(program))) == (1, 26, 3)


def test_one_that_is_replaced_while_it_is_asked_leaves_no_record(
    program: Path, tmp_path: Path
) -> None:
    """Its words would be taken for the other's, by whoever looks at that one as it runs."""
    builds, newer = Builds(tmp_path / "build"), tmp_path / "newer"
    newer.write_text("#!/bin/sh\necho nginx version: nginx/1.26.3 >&2\n")
    newer.chmod(0o755)
    program.write_text(f"#!/bin/sh\nmv {newer} {program}\nexec {program} -V\n")
    builds.of(str(program))
    assert not (tmp_path / "build").exists()
    assert version_of(builds.of(str(program))) == (1, 26, 3)
    assert (tmp_path / "build").exists()


@pytest.mark.parametrize("left", [b"", b"1 2", b"1 2 3 4\nnginx version: nginx/1.0\n", b"\xff\n"])
def test_what_is_no_record_of_it_is_replaced(program: Path, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "build").write_bytes(left)
    assert version_of(Builds(tmp_path / "build").of(str(program))) == (1, 22, 1)


def test_the_version_is_found_in_what_it_prints() -> None:
    assert version_of("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.9") == (1, 22, 1)
    assert version_of("nginx version: nginx/1.24.0 (Ubuntu)") == (1, 24, 0)
    assert version_of("something else") == ()
