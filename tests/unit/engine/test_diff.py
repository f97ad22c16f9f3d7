"""A walk through what a container goes on changing."""

from __future__ import annotations

from pathlib import Path

from paas.engine.diff import walk


def test_what_goes_away_or_becomes_a_link_meanwhile_is_left_out(tmp_path: Path) -> None:
    upper, outside = tmp_path / "upper", tmp_path / "outside"
    for folder in ("gone", "lure", "stays"):
        (upper / folder).mkdir(parents=True)
        (upper / folder / "file").write_text("x")
    (outside / "secret").mkdir(parents=True)
    found = []
    for path, _ in walk(upper):
        found.append(path)
        if len(found) == 1:
            (upper / "gone/file").unlink()
            (upper / "gone").rmdir()
            (upper / "lure").rename(tmp_path / "moved")
            (upper / "lure").symlink_to(outside)
    assert found == ["/gone", "/lure", "/stays", "/stays/file"]
