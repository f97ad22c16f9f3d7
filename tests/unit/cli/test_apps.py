"""Locking apps: what is refused while a person says so, and what is not."""

from __future__ import annotations

import json

import pytest

from paas.cli.app_reports import FIELDS
from paas.deploy.attempt import Attempts
from paas.deploy.lock import AppLocked
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Silent
from paas.model.role import Role
from tests.unit.cli.caller import KEY, Paas


@pytest.fixture
def shop(paas: Paas) -> App:
    return paas.store.apps.create("shop")


class Locking(SystemClock):
    """A clock whose sleeper finds the app locked."""

    def __init__(self, paas: Paas, app: App) -> None:
        self.paas, self.app = paas, app

    def sleep(self, seconds: float) -> None:  # noqa: ARG002
        self.paas.store.locks.add(self.app.id, "ann", "")
        self.ahead.release()


def attempts(paas: Paas) -> Attempts:
    return Attempts(paas.layout, paas.store, SystemClock())


def test_a_locked_app_refuses_deploys_and_says_who_locked_it(paas: Paas, shop: App) -> None:
    assert paas("apps:lock", "shop", "--reason", "incident 7").code == 0
    with (
        pytest.raises(AppLocked, match=r"by ann since 20.* UTC \(incident 7\)") as caught,
        attempts(paas).begin(shop, "bob", Silent()),
    ):
        pytest.fail("it was deployed")
    assert "apps:unlock shop" in caught.value.resolution
    assert paas.store.deploys.list(shop.id) == []
    with attempts(paas).begin(shop, "bob", Silent(), even_locked=True):
        pass
    assert paas("apps:unlock", "shop").code == 0
    with attempts(paas).begin(shop, "bob", Silent()):
        pass


def test_a_deploy_in_the_queue_of_an_app_that_is_then_locked_is_refused(
    paas: Paas, shop: App
) -> None:
    clock = Locking(paas, shop)
    waiting = Attempts(paas.layout, paas.store, clock)
    clock.ahead = waiting.exclusive(shop, "another")
    clock.ahead.acquire()
    with pytest.raises(AppLocked), waiting.begin(shop, "bob", Silent()):
        pytest.fail("it was deployed")


def test_who_locked_first_is_not_overwritten(paas: Paas, shop: App) -> None:
    paas("apps:lock", "shop")
    bob = paas.let_in("bob", admin=True)
    again = paas("apps:lock", "shop", "--reason", "mine", caller=bob)
    assert again.code == 1
    assert "shop currently has a deploy lock in place: by ann" in again.err
    lock = paas.store.locks.find(shop.id)
    assert lock is not None
    assert (lock.actor, lock.reason) == ("ann", "")


def test_whether_an_app_is_locked_is_an_exit_code_and_a_sentence(paas: Paas, shop: App) -> None:
    free = paas("apps:locked", shop.name)
    assert (free.code, free.out) == (1, "Deploy lock does not exist\n")
    assert json.loads(paas("apps:locked", "shop", "--format", "json").out) == {"locked": False}
    paas("apps:lock", "shop", "--reason", "freeze")
    held = paas("apps:locked", "shop")
    assert held.code == 0
    assert held.out.startswith("Deploy lock exists: by ann since ")
    told = json.loads(paas("apps:locked", "shop", "--format", "json").out)
    assert (told["locked"], told["actor"], told["reason"]) == (True, "ann", "freeze")


def test_unlocking_what_is_not_locked_is_no_error(paas: Paas, shop: App) -> None:
    said = paas("apps:unlock", "shop")
    assert said.code == 0
    assert "has no deploy lock" in said.out
    assert paas.store.events.tail(9, shop.name) == []


def test_locking_is_recorded(paas: Paas, shop: App) -> None:
    paas("apps:lock", "shop", "--reason", "freeze")
    paas("apps:unlock", "shop")
    told = paas.store.events.tail(2, shop.name)
    assert [(event.what, event.actor) for event in told] == [
        ("locked", KEY.name),
        ("unlocked", KEY.name),
    ]


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 201, "\x1b[2J"])
def test_a_reason_is_one_line(paas: Paas, shop: App, reason: str) -> None:
    assert paas("apps:lock", shop.name, "--reason", reason).code == 1
    assert paas.store.locks.find(shop.id) is None


def test_the_lock_of_an_app_goes_with_it(paas: Paas, shop: App) -> None:
    paas("apps:lock", "shop")
    paas.store.apps.rename(shop, "store")
    assert paas("apps:locked", "store").code == 0
    paas.store.apps.destroy(shop)
    assert paas.store.locks.find(shop.id) is None


# -- what apps are -------------------------------------------------------------------------------


def released(paas: Paas, app: App, commit: str | None = "c0ffee") -> App:
    """The app with a live release."""
    release = paas.store.releases.add(
        app.id,
        image="sha256:1",
        commit=commit,
        config={"PASSWORD": Secret("s3cr3t")},
        processes={"web": None},
        formation={"web": 2},
        health={},
        reason="Deploy",
        actor="ann",
        created_at=0.0,
    )
    paas.store.apps.set_live(app.id, release.number)
    return paas.store.apps.get(app.name)


def test_a_report_is_a_block_a_json_object_or_one_value(paas: Paas, shop: App) -> None:
    released(paas, shop)
    paas("apps:lock", "shop")
    said = paas("apps:report", "shop")
    assert "=====> shop app information" in said.out
    assert "App locked:                  true" in said.out
    told = json.loads(paas("apps:report", "shop", "--format", "json").out)
    assert tuple(told) == FIELDS
    assert (told["deployed"], told["release"], told["releases"]) == ("true", "v1", "1")
    assert (told["deploy-source"], told["deploy-source-metadata"]) == ("git", "c0ffee")
    assert told["formation"] == "web=2"
    assert paas("apps:report", "shop", "--app-locked").out == "true\n"
    assert "s3cr3t" not in said.out


def test_a_report_of_all_apps_has_those_that_were_never_deployed(paas: Paas, shop: App) -> None:
    paas.store.apps.create("fresh")
    released(paas, shop, commit=None)
    told = json.loads(paas("apps:report", "--format", "json").out)
    assert (told["fresh"]["deployed"], told["fresh"]["deploy-source"]) == ("false", "")
    assert told["shop"]["deploy-source"] == "docker-image"


class Urls:
    """A router that serves every app."""

    def urls(self, app: App) -> list[str]:
        return [f"http://{app.name}.example.com"]


def test_info_says_where_an_app_is_and_whose(paas: Paas, shop: App) -> None:
    paas.platform.router = Urls()
    paas.let_in("bob", admin=False)
    paas.store.users.give("bob", shop.id, Role.OWNER)
    released(paas, shop)
    said = paas("apps:info", "shop")
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    assert "Web URL: http://shop.example.com Owner: bob" in words
    assert "Dynos: web=2" in words
    assert "Locked" not in words
    told = json.loads(paas("apps:info", "shop", "--format", "json").out)
    assert told["Owner"] == "bob"


# -- cloning --------------------------------------------------------------------------------------


def test_clone_asks_for_a_whole_copy(paas: Paas, shop: App) -> None:
    assert paas("apps:clone", shop.name, "staging").code == 0
    assert paas("apps:clone", shop.name, "other", "--skip-deploy").code == 0
    assert paas.platform.asked == [
        ("clone", "shop", "staging", "ann", True),
        ("clone", "shop", "other", "ann", False),
    ]


def test_clone_leaves_what_exists_as_it_is(paas: Paas, shop: App) -> None:
    paas.store.apps.create("staging")
    said = paas("apps:clone", shop.name, "staging", "--ignore-existing")
    assert said.code == 0
    assert "App staging exists already" in said.err
    assert paas.platform.asked == []
    assert paas("apps:clone", shop.name, "Bad_Name").code == 1
