"""What a service held before another content took its place: listed, removed, killed meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from paas.cli.size import size
from paas.model.service import Service
from tests.engine.shop import Shop
from tests.engine.world import World
from tests.killing import deaths

NOISE = 1 << 20


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return Shop(world)


@pytest.fixture
def store(shop: Shop, tmp_path: Path) -> Iterator[Service]:
    """A service that holds something, and a backup of it."""
    shop.run("kv:create store --image kv:1")
    service = row(shop)
    (volumes(shop) / service.volume / "noise").write_bytes(os.urandom(NOISE))
    shop.run(f"kv:backup store {tmp_path}")
    yield service
    shop.run("kv:destroy store --force")
    assert beside(shop, service) == []


def row(shop: Shop) -> Service:
    return shop.world.parts.store.services.get("kv", "store")


def volumes(shop: Shop) -> Path:
    return shop.world.layout.engine_fs / "volumes"


def beside(shop: Shop, service: Service) -> list[str]:
    """All that there is on the disk of a service's volumes, what is being removed too."""
    return sorted(path.name for path in volumes(shop).glob(f"*service-{service.id}-*"))


def facts(shop: Shop) -> dict[str, object]:
    code, said = shop.answer("kv:info store --format json")
    assert code == 0
    found: dict[str, object] = json.loads(said)
    return found


def test_what_a_restore_keeps_is_listed_with_its_size_and_can_be_removed(
    shop: Shop, store: Service
) -> None:
    assert facts(shop)["kept"] == []
    assert shop.answer("kv:info store --kept") == (0, "-\n")
    assert "keeps no old data" in shop.answer("kv:prune store")[1]
    code, said = shop.answer("kv:restore store --force")
    assert code == 0
    assert f"To remove it: paas kv:prune store {store.volume}" in said
    [kept] = facts(shop)["kept"]  # type: ignore[misc]
    assert kept["volume"] == store.volume
    assert NOISE <= kept["bytes"] < 2 * NOISE
    told = shop.answer("kv:info store")[1]
    assert f" {store.volume} ({size(kept['bytes'])})" in told
    assert "To remove it: paas kv:prune store" in told
    second = row(shop).volume
    shop.run("kv:restore store --force")
    assert [one["volume"] for one in facts(shop)["kept"]] == [store.volume, second]  # type: ignore[attr-defined]

    assert "Add --force if you mean it" in shop.refused("kv:prune store")
    # What it uses is none of it, whoever names it.
    now = row(shop).volume
    assert shop.answer(f"kv:prune store {now} --force")[0] == 20
    assert len(beside(shop, store)) == 3
    shop.run(f"kv:prune store {store.volume} --force")
    assert beside(shop, store) == [second, now]
    shop.run("kv:restore store --force")
    newest = shop.world.parts.store.events.newest()
    assert " freed" in shop.answer("kv:prune store --force")[1]
    [event] = shop.world.parts.store.events.after(newest)
    assert (event.what, event.detail) == ("kv:prune", f"store: {second}, {now}")
    assert beside(shop, store) == [row(shop).volume]
    assert shop.world.parts.services.is_up(row(shop))


def test_what_somebody_is_loading_is_no_old_data(shop: Shop, store: Service) -> None:
    parts, other = shop.world.parts, f"service-{store.id}-9"
    with parts.services.copying(store, "being restored by ann"):
        parts.store.backups.add_candidate(other, store.id)
        parts.services.runner.volumes.create(other)
        assert facts(shop)["kept"] == []
        parts.services.runner.volumes.create(f"service-{store.id}-8")
        assert "is busy: being restored by ann" in shop.refused("kv:prune store --force")
        assert len(beside(shop, store)) == 3
    shop.run("kv:prune store --force")
    assert beside(shop, store) == [store.volume, other]
    # Its maker is gone: the supervisor's.
    shop.tidied()
    assert beside(shop, store) == [store.volume]


def test_one_that_is_killed_removes_a_volume_or_leaves_it(shop: Shop, store: Service) -> None:
    for _ in range(2):
        shop.run("kv:restore store --force")
    whole = len(list((volumes(shop) / store.volume).iterdir()))
    for effect in deaths(partial(shop.run, "kv:prune store --force")):
        kept = volumes(shop) / store.volume
        assert not kept.exists() or len(list(kept.iterdir())) == whole, effect
    assert facts(shop)["kept"] == []
    # What is renamed away already is deleted by who comes next.
    shop.tidied()
    assert beside(shop, store) == [row(shop).volume]


def test_who_is_destroyed_takes_it_along(shop: Shop, tmp_path: Path) -> None:
    shop.run("kv:create brief --image kv:1")
    service = shop.world.parts.store.services.get("kv", "brief")
    shop.run(f"kv:backup brief {tmp_path}")
    shop.run("kv:restore brief --force")
    assert len(beside(shop, service)) == 2
    shop.run("kv:destroy brief --force")
    assert beside(shop, service) == []
