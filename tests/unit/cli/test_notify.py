"""The commands of webhooks over the real table; what is told is the engine's ring."""

from __future__ import annotations

import json

import pytest

from paas.deploy.notify import Notifier
from paas.model.app import App
from tests.unit.cli.caller import Paas

URL = "https://chat.example.com/hooks/hush"


@pytest.fixture
def app(paas: Paas) -> App:
    paas.platform.notifier = Notifier(paas.store)
    return paas.store.apps.create("x")


@pytest.mark.parametrize("url", ["http://chat.example.com", "syslog://chat.example.com:514", ""])
def test_what_cannot_be_told_adds_nothing(paas: Paas, app: App, url: str) -> None:
    assert paas("notify:add", "x", url).code == 1
    assert paas.store.webhooks.of(app) == []


def test_the_servers_are_an_administrators(paas: Paas, app: App) -> None:
    bob = paas.let_in("bob", admin=False)
    assert paas("notify:add", "--global", URL, caller=bob).code == 1
    assert paas("notify:list", "--global", caller=bob).code == 1
    assert paas("notify:add", "x", URL, caller=bob).code == 1
    assert paas.store.webhooks.of(None) == []


def test_a_webhook_is_added_once_and_shows_no_secret(paas: Paas, app: App) -> None:
    said = [paas("notify:add", "x", "-", input=f"{URL}\n".encode())]
    assert said[0].code == 0
    said.append(paas("notify:add", "x", URL))
    assert said[1].code == 1
    said += [paas("notify:add", "--all", "--global", URL), paas("notify:list", "x")]
    [mine] = json.loads(paas("notify:list", "x", "--format=json").out)
    [alls] = json.loads(paas("notify:list", "--global", "--format=json").out)
    assert (mine["events"], alls["events"]) == ("trouble", "all")
    shown = "".join(each.out + each.err for each in said)
    assert "hush" not in shown + "".join(one.detail for one in paas.store.events.tail(9))
    # One app's is not another's to remove.
    assert paas("notify:remove", "x", alls["id"]).code == 20
    assert paas("notify:remove", "x", mine["id"]).code == 0
    assert paas("notify:remove", "--global", alls["id"]).code == 0


def test_what_is_no_trouble_is_passed_over(paas: Paas, app: App) -> None:
    paas("notify:add", "x", URL)
    events, webhooks = paas.store.events, paas.store.webhooks
    assert webhooks.waiting() == []
    events.add("ann", "x", "renamed", "")
    events.add("supervisor", "other", "crashed", "")
    assert webhooks.waiting() == []
    events.add("supervisor", "x", "crashed", "web.1")
    [waiting] = webhooks.waiting()
    [event] = webhooks.untold(waiting, 9)
    assert (event.app, event.what) == ("x", "crashed")
    webhooks.told(waiting, event.id)
    assert webhooks.waiting() == []
