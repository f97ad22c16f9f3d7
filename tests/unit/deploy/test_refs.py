"""Which pushes deploy, and what the others are told to type."""

from __future__ import annotations

import pytest

from paas.deploy.refs import Push, RefUpdate, deployable
from paas.deploy.tree import PushRefused

OLD, NEW, NONE = "1" * 40, "2" * 40, "0" * 40


def update(name: str, new: str = NEW) -> RefUpdate:
    return RefUpdate(OLD, new, name)


def refusal(*updates: RefUpdate, branch: str | None = "main") -> PushRefused:
    with pytest.raises(PushRefused) as caught:
        deployable(updates, branch)
    return caught.value


def test_deleting_a_branch_is_refused() -> None:
    error = refusal(update("refs/heads/main", NONE))
    assert "main cannot be deleted" in error.brief
    assert "apps:destroy" in error.resolution


def test_a_tag_alone_is_refused_with_what_to_type() -> None:
    error = refusal(update("refs/tags/v1"))
    assert "v1 is not a branch" in error.brief
    assert "v1^{commit}:refs/heads/main" in error.resolution


def test_another_branch_is_refused_with_what_to_type() -> None:
    error = refusal(update("refs/heads/feature"))
    assert "git push paas feature:main" in error.resolution


def test_two_branches_are_refused() -> None:
    error = refusal(update("refs/heads/main"), update("refs/heads/next"))
    assert "2 branches" in error.brief
    assert error.resolution == "git push paas main"


def test_a_branch_with_its_tags_is_deployed() -> None:
    assert deployable([update("refs/tags/v1"), update("refs/heads/main")], "main") == Push(
        "main", NEW
    )


def test_the_first_pushed_branch_becomes_the_deploy_branch() -> None:
    assert deployable([update("refs/heads/trunk")], None).branch == "trunk"
