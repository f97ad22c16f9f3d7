"""The repository of an app after many pushes."""

from __future__ import annotations

import os
from pathlib import Path

from paas.deploy.repository import MOST_PACKS, Repository
from paas.host.processes import spawn
from tests.engine.world import World

COMMITS = f"""
    tree=$(git mktree </dev/null)
    for number in $(seq {MOST_PACKS + 5}); do
        commit=$(git commit-tree -m $number $tree </dev/null)
        git update-ref refs/heads/main $commit
        git repack -q -d
        echo $commit
    done >&2
    git commit-tree -m loose $tree >&2
"""
WHO = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip


def as_git(world: World, place: Repository, script: str) -> str:
    """What a shell says as the git user."""
    read, write = os.pipe()
    environment = {**place._environment(1 << 30), **WHO}
    shell = spawn(
        ["sh", "-ec", script],
        stderr=write,
        env=environment,
        cwd=place.path,
        user=world.layout.git_user,
    )
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    assert shell.wait() == 0, said
    return said


def packs(place: Repository) -> list[Path]:
    return list((place.path / "objects/pack").glob("*.pack"))


def test_many_pushes_become_few_packs_and_nothing_is_dropped(world: World) -> None:
    app = world.app("pushed-often")
    place = Repository(world.layout, app.id)
    place.ensure()
    # Each of them leads nowhere but to an empty tree: no branch has any but the last.
    commits = as_git(world, place, COMMITS).split()
    assert len(packs(place)) > MOST_PACKS
    (place.path / "objects/pack/.tmp-9-pack-x").write_text("of one that was killed")
    with place.receiving():
        assert world.parts.housekeeping.run() is not None
        assert len(packs(place)) > MOST_PACKS, "a push is received"
    with world.parts.attempts.exclusive(app, "a deploy"):
        world.parts.housekeeping.run()
        assert len(packs(place)) > MOST_PACKS, "a deploy reads it"
    world.parts.housekeeping.run()
    assert 1 <= len(packs(place)) < 5
    check = " && ".join(f"git cat-file -e {commit}" for commit in commits)
    as_git(world, place, check)
    assert not place.is_scattered()
    place.sweep()
    assert list((place.path / "objects/pack").glob(".tmp-*")) == []
    assert not place.pack()
