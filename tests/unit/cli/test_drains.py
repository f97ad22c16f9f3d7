"""The commands of drains over the real table; what is sent is the engine's ring."""

from __future__ import annotations

import json

import pytest

from paas.deploy.drains import Drains
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.drain import DRAIN_HOSTS
from tests.unit.cli.caller import Paas

URL = "https://me:hush@logs.example.com/v1/hush?token=hush"


@pytest.fixture
def app(paas: Paas) -> App:
    paas.platform.drains = Drains(paas.layout, paas.store, SystemClock())
    return paas.store.apps.create("x")


@pytest.mark.parametrize("url", ["http://logs.example.com", "syslog://h/p", "", "logs"])
def test_what_logs_cannot_be_sent_to_adds_nothing(paas: Paas, app: App, url: str) -> None:
    assert paas("drains:add", "x", url).code == 1
    assert paas.store.drains.of(app.id) == []


def test_a_drain_is_added_once_and_shows_no_secret(paas: Paas, app: App) -> None:
    said = paas("drains:add", "x", "-", input=f"{URL}\n".encode())
    assert said.code == 0
    again = paas("drains:add", "x", URL)
    assert again.code == 1
    [drain] = json.loads(paas("drains", "x", "--format=json").out)
    assert (drain["url"], drain["lines"]) == ("https://logs.example.com:443/…", 0)
    shown = [said.out, said.err, again.err, paas("drains", "x").out]
    shown += [f"{one.detail}" for one in paas.store.events.tail(9)]
    database = paas.layout.database
    kept = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert "hush" not in "".join(shown)
    assert b"hush" not in kept
    assert paas("drains:remove", "x", drain["id"]).code == 0
    assert paas("drains:remove", "x", drain["id"]).code == 20


def test_without_encryption_there_is_a_warning(paas: Paas, app: App) -> None:
    assert "syslog+tls" in paas("drains:add", "x", "syslog://logs.example.com:514").err
    assert paas("drains:add", "x", "syslog+tls://logs.example.com").err == ""


def test_hosts_inside_are_an_administrators_to_allow(paas: Paas, app: App) -> None:
    member = paas.let_in("bob", admin=False)
    assert paas("drains:allow-host", "10.0.0.5", caller=member).code == 1
    for host in ("", "a,b", "-x", "a b"):
        assert paas("drains:allow-host", "--", host).code == 1
    assert paas.store.settings.value(DRAIN_HOSTS) == frozenset()
    for host in ("10.0.0.5", "logs.internal"):
        assert paas("drains:allow-host", host).code == 0
    assert paas.store.settings.value(DRAIN_HOSTS) == {"10.0.0.5", "logs.internal"}
