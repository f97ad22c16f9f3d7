"""Telling plugins what has happened: each from where it was, whatever one of them does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paas.deploy.plugin_log import tail
from paas.deploy.telling import Telling
from paas.host.clock import SystemClock
from paas.model.layout import Layout
from paas.plugin.foreign import Plugin, PluginFailed
from paas.plugin.hookspecs import Call
from paas.plugin.installed import Installed, folder_of
from paas.store.store import Store

MANIFEST = """
[plugin]
name = "ear"
title = "Ear"
description = "x"
[[hook]]
on = "post-deploy"
run = ["x"]
[[hook]]
on = "instance-crashed"
run = ["x"]
"""


class Listening:
    """Hooks that keep what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.raises: list[BaseException] = []

    def tell(self, _: Plugin, call: Call) -> None:
        self.told.append((call.hook, str(call.facts["detail"])))
        call.report.detail(f"heard of {call.app}")
        if self.raises:
            raise self.raises.pop()


class World:
    """A store with one enabled plugin."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.at(folder)
        self.store = Store(self.layout)
        self.hooks = Listening()
        version = folder_of(self.layout, "ear", "1")
        version.mkdir(parents=True)
        (version / "plugin.toml").write_text(MANIFEST)
        self.store.plugins.add("ear", "x", "", "1", "ann")
        self.store.plugins.enable("ear", "1", "sha256:0", ())
        installed = Installed(self.layout, self.store.plugins)
        hooks: Any = self.hooks
        self.telling = Telling(self.layout, self.store, SystemClock(), installed, hooks)

    def happens(self, *names: str) -> None:
        for number, name in enumerate(names):
            self.store.events.add("ann", "shop", name, str(number))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_only_what_it_listens_to_is_told_and_each_once(world: World) -> None:
    world.happens("released", "locked", "crashed", "released")
    assert world.telling.due() == ["ear"]
    world.telling.run("ear")
    world.telling.run("ear")
    assert world.telling.due() == []
    assert world.hooks.told == [
        ("post-deploy", "0"), ("instance-crashed", "2"), ("post-deploy", "3"),
    ]  # fmt: skip


@pytest.mark.parametrize("error", [PluginFailed("it exited with code 3"), RuntimeError("bug")])
def test_a_failure_is_kept_and_logged_and_the_next_is_told(
    world: World, error: BaseException
) -> None:
    world.hooks.raises = [error]
    world.happens("crashed")
    world.telling.run("ear")
    row = world.store.plugins.get("ear")
    assert row.error.startswith("instance-crashed: it ")
    assert any("It failed: it" in line for line in tail(world.layout, "ear", 9))
    world.happens("released")
    world.telling.run("ear")
    assert world.store.plugins.get("ear").error == ""
    assert "heard of shop" in tail(world.layout, "ear", 1)[0]


def test_one_that_is_killed_on_the_way_is_told_that_event_again(world: World) -> None:
    world.hooks.raises = [SystemExit(1)]
    world.happens("released", "crashed")
    with pytest.raises(SystemExit):
        world.telling.run("ear")
    world.telling.run("ear")
    assert [detail for _, detail in world.hooks.told] == ["0", "0", "1"]


def test_one_that_is_disabled_meanwhile_is_told_no_more(world: World) -> None:
    world.happens("released", "released")
    tell = world.hooks.tell

    def once(plugin: Plugin, call: Call) -> None:
        tell(plugin, call)
        world.store.plugins.disable("ear")

    world.hooks.tell = once  # type: ignore[method-assign]
    world.telling.run("ear")
    assert len(world.hooks.told) == 1


def test_what_piled_up_without_end_is_told_from_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paas.deploy.telling.MOST", 2)
    world.happens(*["released"] * 5)
    world.telling.run("ear")
    assert [detail for _, detail in world.hooks.told] == ["3", "4"]
    assert world.telling.due() == []


def test_a_log_is_of_a_bounded_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paas.deploy.plugin_log.MOST", 1000)
    world.happens(*["released"] * 50)
    world.telling.run("ear")
    files = list((world.layout.logs / "plugins").iterdir())
    assert len(files) == 2
    assert sum(path.stat().st_size for path in files) < 3000
