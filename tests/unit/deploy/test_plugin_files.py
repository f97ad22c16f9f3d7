"""Where plugins come from: hostile folders and trees, and what is kept of good ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.deploy import plugin_files
from paas.deploy.plugin_files import BadPlugin, PluginFiles, Source, bundled_names
from paas.deploy.tree import PushRefused
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.plugin.installed import folder_of
from paas.plugin.manifest import InvalidManifest

MANIFEST = """
[plugin]
name = "small"
title = "Small"
description = "x"
[[hook]]
on = "event"
run = ["bin/x"]
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.at(tmp_path / "root")
    layout.root.mkdir()
    return layout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "bin").mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "bin/x").write_text("#!/bin/sh\n")
    (folder / "bin/x").chmod(0o4755)
    return folder


def kept(layout: Layout, folder: Path) -> Path:
    files = PluginFiles(layout, ())
    with files.taken(Source(folder=folder), Silent()) as taken:
        files.keep(taken)
        return folder_of(layout, taken.declaration.name, taken.version)


def left(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.plugins.glob("*"))


def test_files_are_written_anew_and_never_more_than_executable(
    layout: Layout, folder: Path
) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("[core]")
    (folder / "plugin.toml").chmod(0o666)
    found = kept(layout, folder)
    names = sorted(str(path.relative_to(found)) for path in found.rglob("*"))
    assert names == ["bin", "bin/x", "plugin.toml"]
    assert (found / "bin/x").stat().st_mode & 0o7777 == 0o755
    assert (found / "plugin.toml").stat().st_mode & 0o7777 == 0o644
    assert (layout.plugins / "small").stat().st_mode & 0o777 == 0o700


def test_equal_files_are_one_version_and_others_another(layout: Layout, folder: Path) -> None:
    first = kept(layout, folder)
    assert kept(layout, folder) == first
    (folder / "bin/x").write_text("#!/bin/bash\n")
    second = kept(layout, folder)
    (folder / "bin/x").chmod(0o644)
    assert len({first, second, kept(layout, folder)}) == 3


@pytest.mark.parametrize("target", ["/etc/shadow", "bin/x", "../../..", "nowhere"])
@pytest.mark.parametrize("name", ["link", "bin/link", "plugin.toml"])
def test_a_link_is_refused_wherever_it_leads(
    layout: Layout, folder: Path, name: str, target: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    with pytest.raises((BadPlugin, PushRefused)):
        kept(layout, folder)
    assert left(layout) == []


def test_a_directory_that_is_a_link_is_not_gone_into(layout: Layout, folder: Path) -> None:
    (folder / "lib").symlink_to("/etc")
    with pytest.raises(BadPlugin, match="'lib' is a symbolic link"):
        kept(layout, folder)


def test_too_much_is_refused_and_nothing_of_it_is_left(
    layout: Layout, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "big").touch()
    os.truncate(folder / "big", plugin_files.MAX_FILE + 1)
    with pytest.raises(BadPlugin, match="'big' too large"):
        kept(layout, folder)
    (folder / "big").unlink()
    monkeypatch.setattr(plugin_files, "MAX_FILES", 20)
    for number in range(30):
        (folder / f"f{number}").touch()
    with pytest.raises(BadPlugin, match="It has 33 files and directories, 20 at most"):
        kept(layout, folder)
    assert left(layout) == []


def test_no_manifest_and_no_folder_are_said(layout: Layout, folder: Path, tmp_path: Path) -> None:
    (folder / "plugin.toml").unlink()
    with pytest.raises(InvalidManifest, match="at the top of it"):
        kept(layout, folder)
    (folder / "plugin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PushRefused, match="not UTF-8"):
        kept(layout, folder)
    with pytest.raises(BadPlugin, match="is not a directory"):
        kept(layout, tmp_path / "none")


def test_versions_that_nobody_needs_go_and_so_does_what_was_killed(
    layout: Layout, folder: Path
) -> None:
    first = kept(layout, folder)
    (folder / "bin/x").write_text("2")
    second = kept(layout, folder)
    (layout.plugins / ".new-dead").mkdir()
    (layout.plugins / ".fetch-dead.git").mkdir()
    files = PluginFiles(layout, ())
    files.forget_others({second})
    assert left(layout) == ["small"]
    assert second.exists()
    assert not first.exists()
    files.forget_others(set())
    assert left(layout) == []


def test_what_comes_with_paas_can_be_taken_by_name(layout: Layout) -> None:
    assert bundled_names() == ["secret-scan"]
    for name in bundled_names():
        with PluginFiles(layout, ()).taken(Source(bundled=name), Silent()) as taken:
            assert taken.declaration.name == name


def test_no_other_plugin_is_python_in_here(layout: Layout, folder: Path) -> None:
    text = MANIFEST.replace('title = "Small"', 'title = "Small"\npython = true')
    (folder / "plugin.toml").write_text(text)
    with pytest.raises(InvalidManifest, match="python is not known"):
        kept(layout, folder)
