"""CACHE_DIR: what builds change as a whole or not at all, by real overlays and containers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.engine.build.workspace import Workspace
from paas.engine.cachevolumes import MAX_DEPTH, CacheVolumes
from paas.engine.userns import BUILD_OWNER
from paas.host.files import remove_tree
from paas.model.report import Lines, Silent
from tests.engine.build.product import Node, look
from tests.engine.machine import Machine
from tests.killing import deaths

NAME = "buildpack-cache-1"

FIRST = """
mkdir -p kept/sub kept/deep/er old dir
for file in file gone kept/sub/a kept/deep/er/x old/a dir/a; do echo 1 > $file; done
ln -s file link; ln file hard; chown 1000:1000 kept
"""

SECOND = """
echo 2 > file; rm gone; echo 2 >> kept/deep/er/x; rm -r kept/sub; chmod 700 kept
rm -r old; mkdir old; echo new > old/new
rm -r dir; echo file > dir
rm link hard; mkdir link; echo 2 > link/in
echo 1 > one; ln one two; ln -s /etc/shadow away; chown 1000 file
"""
"""A directory that hides what was there, one in place of a file, a file in place of one."""


@dataclass(frozen=True)
class Cache:
    """One cache, and what builds in containers do to it."""

    machine: Machine
    caches: CacheVolumes

    @property
    def volume(self) -> Path:
        return self.machine.layout.engine_fs / "volumes" / NAME

    @property
    def done(self) -> Path:
        return self.volume.with_name(f".{NAME}.done")

    def build(self, script: str, *, kept: bool, meanwhile: Callable[[], object] = str) -> str:
        """Run a script in the cache; what came of it is warned of."""
        said: list[bytes] = []
        user_range = self.machine.storage.ranges.range_for(BUILD_OWNER)
        opened = self.caches.opened(NAME, 0, user_range, "/cache", Lines(said.append))
        with opened as cache:
            words = ("sh", "-ec", f"cd /cache\n{script}")
            done = self.machine.run(*words, owner=BUILD_OWNER, mounts=(cache.mount,))
            assert done.code == 0, done.stderr
            meanwhile()
            cache.kept = kept
        return b"".join(said).decode()

    def look(self) -> Mapping[str, Node]:
        assert not self.done.exists()
        return look(self.volume)


@pytest.fixture
def cache(machine: Machine) -> Iterator[Cache]:
    storage = machine.storage
    workspace = Workspace(machine.layout, storage.layers, storage.rootfs)
    made = Cache(machine, CacheVolumes(machine.volumes, workspace))
    yield made
    made.caches.remove(NAME)
    assert not any(made.volume.parent.iterdir())
    assert not any((machine.layout.engine_fs / "tmp").iterdir())


def on_this_host(folder: Path, script: str) -> Mapping[str, Node]:
    """What a script makes of a directory that nothing is special about."""
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True)
    return look(folder)


def test_a_build_that_is_ended_has_changed_nothing(cache: Cache) -> None:
    cache.build(FIRST, kept=True)
    before = cache.look()
    cache.build(SECOND, kept=False)
    assert cache.look() == before
    with pytest.raises(ZeroDivisionError):
        cache.build(SECOND, kept=True, meanwhile=lambda: 1 // 0)
    assert cache.look() == before


def test_what_builds_kept_is_as_if_they_had_written_to_it(cache: Cache, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for script in (FIRST, SECOND, "rm -r kept; echo 3 > file", "true"):
        cache.build(script, kept=True)
        assert cache.look() == on_this_host(plain, script)


def test_whoever_is_killed_in_keeping_it_is_gone_on_with(cache: Cache, tmp_path: Path) -> None:
    def copy(source: Path, target: Path) -> None:
        remove_tree(target)
        subprocess.run(["cp", "-a", source, target], check=True)

    cache.build(FIRST, kept=True)
    copy(cache.volume, tmp_path / "before")
    uppers = (cache.machine.layout.engine_fs / "tmp").glob("*/upper")
    cache.build(SECOND, kept=True, meanwhile=lambda: copy(next(uppers), tmp_path / "upper"))
    after, killed = cache.look(), 0
    copy(tmp_path / "before", cache.volume)
    copy(tmp_path / "upper", cache.done)
    for killed in deaths(lambda: cache.caches.finish(NAME, 0, Silent())):  # noqa: B007
        cache.caches.finish(NAME, 0, Silent())
        assert cache.look() == after
        copy(tmp_path / "before", cache.volume)
        copy(tmp_path / "upper", cache.done)
    assert killed > 15
    assert cache.look() == after


def test_what_is_too_deep_to_be_kept_is_no_cache_any_more_and_said(cache: Cache) -> None:
    deep = "/".join(["d"] * (MAX_DEPTH + 1))
    cache.build(f"mkdir -p {deep}; echo 1 > {deep}/file", kept=True)
    assert len(cache.look()) == MAX_DEPTH + 3
    said = cache.build(f"echo 2 > {deep}/file", kept=True)
    assert " !     What builds keep for the next one is lost: File name too long" in said
    assert list(cache.look()) == ["."]
    assert cache.build(FIRST, kept=True) == ""
