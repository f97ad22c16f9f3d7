"""Which pushes deploy, and what the others are told to type."""

from __future__ import annotations

import shlex

import pytest

from paas.deploy.refs import Push, RefUpdate, Target, deployable
from paas.deploy.tree import PushRefused
from paas.model.names import InvalidName

OLD, NEW, NONE = "1" * 40, "2" * 40, "0" * 40


def update(name: str, new: str = NEW) -> RefUpdate:
    return RefUpdate(OLD, new, name)


def target(branch: str | None = "main", *, stays: bool = True) -> Target:
    return Target("shop", branch, "ssh paas@server", stays)


def refusal(*updates: RefUpdate, to: Target | None = None) -> PushRefused:
    with pytest.raises(PushRefused) as caught:
        deployable(updates, to or target())
    return caught.value


def test_deleting_a_branch_is_refused() -> None:
    error = refusal(update("refs/heads/main", NONE))
    assert "main cannot be deleted" in error.brief
    assert "apps:destroy" in error.resolution


def test_a_branch_that_deploys_no_more_goes_by_itself() -> None:
    error = refusal(update("refs/heads/master", NONE))
    assert "master cannot be deleted" in error.brief
    assert "It goes by itself" in error.resolution


def test_a_tag_alone_is_refused_with_what_to_type() -> None:
    error = refusal(update("refs/tags/v1"))
    assert "v1 is not a branch" in error.brief
    assert "v1^{commit}:refs/heads/main" in error.resolution


def test_another_branch_is_refused_with_what_to_type() -> None:
    error = refusal(update("refs/heads/feature"))
    assert "git push paas feature:main" in error.resolution
    assert error.details[1].endswith(": ssh paas@server git:set shop deploy-branch feature")


def test_what_to_type_is_typed_into_two_shells() -> None:
    error = refusal(update("refs/heads/a;b"))
    assert "'a;b:main'" in error.resolution
    typed = shlex.split(error.details[1].partition(": ")[2])
    assert shlex.split(" ".join(typed[2:])) == ["git:set", "shop", "deploy-branch", "a;b"]


def test_no_command_is_named_for_an_app_that_the_refusal_ends() -> None:
    error = refusal(update("refs/heads/feature"), to=target(stays=False))
    assert list(error.details) == []
    assert "git push paas feature:main" in error.resolution


@pytest.mark.parametrize("name", ["HEAD", "a\u202eb", "x" * 251])
def test_what_cannot_be_set_is_no_first_branch(name: str) -> None:
    with pytest.raises(InvalidName, match="is not a branch name"):
        deployable([update(f"refs/heads/{name}")], target(None))


def test_two_branches_are_refused() -> None:
    error = refusal(update("refs/heads/main"), update("refs/heads/next"))
    assert "2 branches" in error.brief
    assert error.resolution == "git push paas main"


def test_a_branch_with_its_tags_is_deployed() -> None:
    updates = [update("refs/tags/v1"), update("refs/heads/main")]
    assert deployable(updates, target()) == Push("main", NEW, OLD)


def test_the_first_pushed_branch_becomes_the_deploy_branch() -> None:
    assert deployable([update("refs/heads/trunk")], target(None)).branch == "trunk"
