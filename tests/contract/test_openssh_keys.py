"""Keys that OpenSSH makes are read as OpenSSH reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from paas.model.key import InvalidKey, parse_public_key


def make(path: Path, *options: str) -> str:
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-C", "ann's laptop", "-f", path, *options],
        check=True, capture_output=True,
    )  # fmt: skip
    return path.with_suffix(".pub").read_text()


@pytest.mark.parametrize(
    "options",
    [["-t", "ed25519"], ["-t", "rsa", "-b", "2048"], ["-t", "ecdsa", "-b", "256"],
     ["-t", "ecdsa", "-b", "521"]],
)  # fmt: skip
def test_a_fingerprint_is_openssh_s(tmp_path: Path, options: list[str]) -> None:
    key = parse_public_key(make(tmp_path / "id", *options))
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "id.pub"], check=True, capture_output=True, text=True
    ).stdout
    assert shown.split()[1] == key.fingerprint
    assert key.comment == "ann's laptop"


def test_what_is_published_is_still_the_key(tmp_path: Path) -> None:
    key = parse_public_key(make(tmp_path / "id", "-t", "ed25519"))
    (tmp_path / "line.pub").write_text(key.line + "\n")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "line.pub"], check=True, capture_output=True, text=True
    ).stdout
    assert shown.split()[1] == key.fingerprint


def test_the_private_half_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "id", "-t", "ed25519")
    with pytest.raises(InvalidKey, match="private"):
        parse_public_key((tmp_path / "id").read_text())
