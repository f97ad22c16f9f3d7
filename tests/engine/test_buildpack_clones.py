"""Buildpacks of others that builds have fetched: how long their repositories stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.buildpack.source import GitSource
from paas.deploy.buildpack_clones import BuildpackClones
from paas.deploy.fetching import Fetcher
from paas.deploy.housekeeping import CACHE_SECONDS
from paas.deploy.usage import Usage, usage
from paas.host.files import FileLock
from paas.model.report import Silent
from tests.engine.world import World
from tests.killing import forked
from tests.push import gitserver

WHO = {
    "PATH": "/usr/bin:/bin",
    **{f"GIT_{who}_NAME": "a" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@b" for who in ("AUTHOR", "COMMITTER")},
}
NOISE = 1 << 20


@pytest.fixture
def published(world: World, tmp_path: Path) -> Iterator[GitSource]:
    gitserver.publish(tmp_path, "pack", {"bin/detect": "", "noise": os.urandom(NOISE)}, WHO)
    with gitserver.serving(tmp_path) as url:
        yield GitSource(f"{url}/pack")
    shutil.rmtree(BuildpackClones(world.layout).directory)


def fetch(world: World, source: GitSource) -> None:
    """As a build does, in a process of its own: what it reads of a repository is closed with it."""

    def work() -> None:
        fetched = Fetcher(world.layout, ["127.0.0.1"]).buildpack(source, Silent())
        assert len(fetched.read("noise")) == NOISE

    assert os.waitpid(forked(work), 0)[1] == 0


def found(world: World) -> Usage:
    kinds = usage(world.layout, world.parts.engine, world.parts.housekeeping)
    return next(one for one in kinds if one.kind == "buildpacks")


def age(path: Path, seconds: float) -> None:
    """Have it be as one that was used so long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def clone(world: World) -> Path:
    (path,) = BuildpackClones(world.layout).directory.iterdir()
    return path


def test_one_that_no_build_uses_is_counted_and_goes_and_is_fetched_again(
    world: World, published: GitSource
) -> None:
    fetch(world, published)
    used = found(world)
    assert (used.count, used.reclaimable) == (1, 0)
    assert NOISE < used.bytes < 2 * NOISE
    age(clone(world), CACHE_SECONDS - 60)
    assert world.parts.housekeeping.run() is not None
    # Used again, in the last minute.
    fetch(world, published)
    age(clone(world), 120)
    assert world.parts.housekeeping.run() is not None
    assert clone(world).is_dir()
    age(clone(world), CACHE_SECONDS)
    unused = found(world)
    assert NOISE < unused.reclaimable < 2 * NOISE
    assert world.parts.images.collect().bytes >= unused.reclaimable
    assert found(world) == Usage("buildpacks", 0, 0)
    fetch(world, published)


def test_one_that_is_being_fetched_is_not_taken_away(
    world: World, published: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    clones, serve, met = BuildpackClones(world.layout), gitserver.Backend.do_POST, set()

    def meanwhile(request: gitserver.Backend) -> None:
        age(clone(world), 2 * CACHE_SECONDS)
        clones.prune(CACHE_SECONDS, world.parts.engine.clock.now())
        met.add(clone(world).name)
        serve(request)

    monkeypatch.setattr(gitserver.Backend, "do_POST", meanwhile)
    fetch(world, published)
    assert met == {f"{published.slug}.git"}
    # It counts as used since.
    assert clones.prune(CACHE_SECONDS, world.parts.engine.clock.now()) == 0


def test_what_a_killed_one_left_goes_at_the_next_time(world: World, published: GitSource) -> None:
    """Killed while it was fetched, and while it was removed."""
    fetch(world, published)
    path, clones = clone(world), BuildpackClones(world.layout)
    shutil.copytree(path, left := path.with_name(f".{path.name}"))
    (path / "HEAD").unlink()
    with FileLock(world.layout.locks / f"buildpack-{published.slug[-2:]}", shared=True):
        assert clones.prune(CACHE_SECONDS, world.parts.engine.clock.now()) == 0
    assert clones.prune(CACHE_SECONDS, world.parts.engine.clock.now()) > NOISE
    assert not left.exists()
    fetch(world, published)
    shutil.copytree(path, left)
    age(path, CACHE_SECONDS)
    assert clones.prune(CACHE_SECONDS, world.parts.engine.clock.now()) > NOISE
    assert not [*clones.directory.iterdir()]
