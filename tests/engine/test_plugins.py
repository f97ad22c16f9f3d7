"""Plugins that are installed, replaced and ended while their datastores come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from paas.deploy import services
from paas.deploy.plugin_log import log_of
from paas.deploy.services import Wish
from paas.model.report import Silent
from paas.plugin.catalog import NoSuchPlugin
from paas.store.store import Store
from tests.engine.shop import PLUGINS, Shop
from tests.engine.world import World

RULE = """
[[proxy]]
name = "till-{0}"
help = "A header of every response"
type = "text"
directives = 'add_header X-Till-{0} "@value@" always;'
"""

SERVICE = (PLUGINS / "kv/plugin.toml").read_text().replace('name = "kv"', 'name = "till"')
WITHOUT_SERVICE = SERVICE.partition("[service]")[0]


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return Shop(world)


@pytest.fixture
def till(shop: Shop, tmp_path: Path) -> Iterator[Path]:
    """The plugin.toml of a datastore that is enabled, and has a rule of the proxy besides."""
    folder = tmp_path / "till"
    folder.mkdir()
    file = folder / "plugin.toml"
    file.write_text(SERVICE + RULE.format("a"))
    shop.run(f"plugin:install {folder}")
    shop.run("plugin:enable till")
    yield file
    parts = shop.world.parts
    for service in parts.store.services.list():
        if service.plugin == "till":
            parts.services.erase(service)
    if parts.store.plugins.find("till") is not None:
        shop.run("plugin:uninstall till --force")


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("plugin:update till", "a"),
        ("plugin:enable till", "ab"),
        ("plugin:disable till", ""),
        ("plugin:uninstall till --force", ""),
    ],
)
def test_a_service_that_comes_in_the_last_moment_keeps_its_plugin(
    shop: Shop, till: Path, line: str, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may be built in between, for minutes: what was looked for before is not all."""
    parts = shop.world.parts
    if rules:
        till.write_text(WITHOUT_SERVICE + "".join(map(RULE.format, rules)))
    if line == "plugin:enable till":
        # It wants more than it was granted, so it waits.
        shop.run("plugin:update till")
    before = parts.store.plugins.get("till")

    def create() -> None:
        parts.services.create("till", "db", Wish(image="kv:1"), actor="root", report=Silent())

    begun_behind(create, monkeypatch)
    assert "There are services of till: db" in shop.refused(line)
    assert parts.store.plugins.get("till") == before
    shop.run("till:info db")
    shop.run("till:destroy db --force")
    shop.run(line)


def begun_behind(act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next transaction begin right behind something that somebody else does."""
    begin, acted = Store.transaction, False

    def late(store: Store) -> AbstractContextManager[None]:
        nonlocal acted
        if not acted:
            acted = True
            act()
        return begin(store)

    monkeypatch.setattr(Store, "transaction", late)


def test_a_plugin_that_is_disabled_in_the_last_moment_gets_no_service(
    shop: Shop, till: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, parse = shop.world.parts, services.parse_service_name

    def late(name: str) -> str:
        shop.run("plugin:disable till")
        return parse(name)

    monkeypatch.setattr(services, "parse_service_name", late)
    with pytest.raises(NoSuchPlugin):
        parts.services.create("till", "db", Wish(image="kv:1"), actor="root", report=Silent())
    assert "till" not in {one.plugin for one in parts.store.services.list()}


def test_what_is_installed_already_keeps_its_log(shop: Shop, till: Path) -> None:
    log = log_of(shop.world.layout, "till")
    older = log.with_suffix(".log.1")
    log.parent.mkdir(exist_ok=True)
    log.write_text("said today")
    older.write_text("said before")
    assert "is installed already" in shop.refused(f"plugin:install {till.parent}")
    assert (log.read_text(), older.read_text()) == ("said today", "said before")
    shop.run("plugin:uninstall till --force")
    # Of its last moments, which it was told of too late.
    log.write_text("said at the very end")
    shop.run(f"plugin:install {till.parent}")
    assert not log.exists()
