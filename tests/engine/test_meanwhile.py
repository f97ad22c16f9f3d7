"""What is set with --no-restart while a deploy goes on is there behind it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from paas.deploy.asking import Asking
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Silent
from tests.engine.shop import Shop
from tests.engine.world import BASE, SERVE, World

Meanwhile = Callable[..., None]


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return Shop(world)


@pytest.fixture
def meanwhile(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Has commands run when the new instances of a deploy are healthy."""

    def set_up(*lines: str) -> None:
        def run(*_: object) -> None:
            for line in lines:
                shop.run(line)

        monkeypatch.setattr(Asking, "check_deploy", run)

    return set_up


def config(shop: Shop, app: App) -> dict[str, str]:
    return {key: value.reveal() for key, value in shop.world.parts.store.config.get(app.id).items()}


def live_config(shop: Shop, app: App) -> dict[str, str]:
    store = shop.world.parts.store
    live = store.releases.get(app.id, store.apps.get(app.name).live or 0)
    return {key: value.reveal() for key, value in live.config.items()}


def push(shop: Shop, app: App, env: dict[str, object]) -> None:
    """Deploy code whose app.json wants these variables."""
    files = {
        "Dockerfile": f"FROM {BASE}\nENV VERSION=2\nCMD {SERVE}\n",
        "app.json": json.dumps({"env": env}),
    }
    commit = shop.world.commit(app, files)
    shop.world.parts.delivery.deploy(app, commit, actor="ann", report=Silent())


def test_a_push_generates_nothing_over_what_was_set_meanwhile(
    shop: Shop, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shop.world.app("pushed")
    shop.run("config:set pushed ASKED=old KEPT=old --no-restart")
    added = {"ASKED": Secret("plugin's"), "KEPT": Secret("plugin's")}
    monkeypatch.setattr(Asking, "pre_release", lambda *_: added)
    meanwhile(
        "config:set pushed SECRET=prod ASKED=new --no-restart", "config:set --global WIDE=prod"
    )
    generated = {"generator": "secret"}
    push(shop, app, {"SECRET": generated, "WIDE": generated, "OTHER": generated})
    live = live_config(shop, app)
    assert config(shop, app) == {
        "SECRET": "prod",
        "OTHER": live["OTHER"],
        "ASKED": "new",
        "KEPT": "plugin's",
    }
    # What was set waits for the next release.
    assert live["SECRET"] != "prod"
    shop.run("config:unset --global WIDE")


def test_a_rollback_takes_nothing_back_that_was_set_meanwhile(
    shop: Shop, meanwhile: Meanwhile
) -> None:
    app = shop.world.parts.store.apps.get("shop")
    shop.run("config:set shop KEPT=1 CHANGED=1 GONE=1")
    shop.run("config:set shop KEPT=2 CHANGED=2 GONE=2 LATER=2")
    meanwhile("kv:link db shop --no-restart", "config:set shop CHANGED=3 NEW=3 --no-restart",
              "config:unset shop GONE --no-restart")  # fmt: skip
    shop.run("rollback shop")
    links = shop.world.parts.store.links.of_app(app.id)
    now = config(shop, app)
    assert [link.variable in now for link in links] == [True]
    now.pop(links[0].variable)
    assert now == {"VERSION": "1", "KEPT": "1", "CHANGED": "3", "NEW": "3"}


def test_a_rollback_brings_no_link_back_that_was_taken_meanwhile(
    shop: Shop, meanwhile: Meanwhile
) -> None:
    app = shop.world.parts.store.apps.get("other")
    shop.run("kv:link db other")
    shop.run("config:set other KEPT=1")
    meanwhile("kv:unlink db other --no-restart")
    shop.run("rollback other")
    assert shop.world.parts.store.links.of_app(app.id) == []
    assert config(shop, app) == {"VERSION": "1"}
