"""git:set and git:report: what is refused, what is set, and what holds then."""

from __future__ import annotations

import json

import pytest

from paas.model.app import App
from paas.model.role import Role
from tests.unit.cli.caller import Paas
from tests.unit.store.test_releases import add_release


@pytest.fixture
def app(paas: Paas) -> App:
    return paas.store.apps.create("shop")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("shop", "deploy-branch", "a..b"), 1, "'a..b' is not a branch name"),
        (("shop", "deploy-branch", "refs/heads/main"), 1, "is not a branch name"),
        (("shop", "deploy-branch", "a\nb"), 1, r"'a\nb' is not a branch name"),
        (("shop", "deploy-branch", ""), 1, "'' is not a branch name"),
        (("--global", "deploy-branch", "main."), 1, "'main.' is not a branch name"),
        (("shop", "keep-git-dir", "true"), 20, "There is no property 'keep-git-dir'"),
        (("nosuch", "deploy-branch", "main"), 20, "App nosuch does not exist"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    paas: Paas, app: App, argv: tuple[str, ...], code: int, said: str
) -> None:
    paas.store.settings.set(app.id, "deploy-branch", "master")
    answer = paas("git:set", *argv)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert paas.store.settings.deploy_branch(app.id) == "master"
    assert paas.store.settings.get(None, "deploy-branch") is None


def test_a_viewer_sees_it_a_deployer_sets_it_and_an_admin_for_every_app(
    paas: Paas, app: App
) -> None:
    paas.store.apps.create("other")
    viewer, deployer = (paas.let_in(name, admin=False) for name in ("vera", "dora"))
    paas.store.users.give("vera", app.id, Role.VIEWER)
    paas.store.users.give("dora", app.id, Role.DEPLOYER)
    assert "You may not" in paas("git:set", "shop", "deploy-branch", "x", caller=viewer).err
    for argv in (("other", "deploy-branch", "x"), ("--global", "deploy-branch", "x")):
        assert "You may not" in paas("git:set", *argv, caller=deployer).err
    assert paas("git:set", "shop", "deploy-branch", "x", caller=deployer).code == 0
    assert paas("git:report", "shop", "--git-computed-deploy-branch", caller=viewer).out == "x\n"
    assert "other" not in paas("git:report", caller=viewer).out


def test_an_app_has_its_own_branch_else_the_server_s_else_that_of_the_next_push(
    paas: Paas, app: App
) -> None:
    def shown() -> list[str]:
        found = json.loads(paas("git:report", "shop", "--format", "json").out)
        return [found[f"{which}deploy-branch"] for which in ("", "global-", "computed-")]

    assert shown() == ["", "", ""]
    said = paas("git:set", "shop", "deploy-branch", "team/main")
    assert "Setting deploy-branch to team/main for shop" in said.out
    said = paas("git:set", "--global", "deploy-branch", "trunk")
    assert "1 of 1 apps have one of their own, and keep it" in said.out
    assert shown() == ["team/main", "trunk", "team/main"]
    said = paas("git:set", "shop", "deploy-branch")
    assert "Unsetting deploy-branch for shop" in said.out
    assert "It is trunk, as for every app" in said.out
    assert shown() == ["", "trunk", "trunk"]
    assert "keep it" not in paas("git:set", "--global", "deploy-branch").out
    assert "The next push decides" in paas("git:set", "shop", "deploy-branch").out
    assert shown() == ["", "", ""]
    details = [event.detail for event in paas.store.events.tail(9, "shop")]
    assert "deploy-branch team/main" in details


def test_the_report_has_the_live_commit(paas: Paas, app: App) -> None:
    release = add_release(paas.store, app.id)
    paas.store.apps.set_live(app.id, release.number)
    said = paas("git:report", "shop")
    assert "shop git information" in said.out
    assert paas("git:report", "shop", "--git-sha").out == f"{release.commit}\n"
