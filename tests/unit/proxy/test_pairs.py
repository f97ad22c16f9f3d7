"""Which files of certificates go, and which stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host import files
from paas.proxy.pairs import Pairs


def test_what_somebody_else_is_writing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name begins with another's that stays, and is its own only when it is whole."""
    pairs = Pairs(tmp_path)
    pairs.write("gone", b"chain", b"key")
    seen: list[list[str]] = []

    def forget(_: int) -> None:
        seen.append([path.name for path in pairs.others(["kept"])])
        pairs.forget_others(["kept"])

    real = files.os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda fd: (forget(fd), real(fd)))
    pairs.write("kept", b"chain", b"key")
    monkeypatch.undo()
    assert sorted(seen[0]) == ["gone.key", "gone.pem"]
    assert not any(seen[1:])
    names = sorted(path.name for path in (tmp_path / "certificates").iterdir())
    assert names == ["kept.key", "kept.pem"]


def test_a_half_that_a_killed_one_left_goes(tmp_path: Path) -> None:
    pairs = Pairs(tmp_path)
    pairs.write("kept", b"chain", b"key")
    nobody = 2**22 + 1
    (tmp_path / f"certificates/.other.key.{nobody}.0a1b2c3d").touch()
    pairs.forget_others(["kept"])
    names = sorted(path.name for path in (tmp_path / "certificates").iterdir())
    assert names == ["kept.key", "kept.pem"]
