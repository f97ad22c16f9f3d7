"""What brings a damaged image back, by the store and an engine whose layer is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.deploy.attempt import Attempts
from paas.deploy.housekeeping import Housekeeping
from paas.deploy.images import ServerImages
from paas.engine.config import ImageConfig
from paas.engine.engine import Engine
from paas.engine.layers import LayerId
from paas.model.layout import Layout
from paas.store.store import Store


def test_the_remedy_is_a_command_that_makes_or_pulls_what_is_named(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    store, engine = Store(layout), Engine(layout)
    attempts = Attempts(layout, store, engine.clock)
    images = ServerImages(store, engine, Housekeeping(layout, store, engine, attempts))
    sql = "INSERT INTO layers (layer, bytes, created_at) VALUES ('gone', 0, 0)"
    engine.database.execute(sql)
    image = engine.images.add(ImageConfig(), [LayerId("gone")])
    (damaged,) = images.verify()
    assert (damaged.problem, damaged.remedy) == ("its directory is missing", "paas gc")
    names = ("paas/stack:heroku-24", "paas/stack-build:heroku-24", "paas/redis:8", "busybox")
    engine.images.tag_all(dict.fromkeys(names, image.id))
    (damaged,) = images.verify()
    assert damaged.remedy == (
        "paas images:pull docker.io/library/busybox:latest; paas stack:update heroku-24"
    )


def test_a_layer_that_nobody_needs_is_not_collected_under_its_examination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.at(tmp_path)
    store, engine = Store(layout), Engine(layout)
    attempts = Attempts(layout, store, engine.clock)
    images = ServerImages(store, engine, Housekeeping(layout, store, engine, attempts))
    engine.layers.commit(engine.layers.new_upper())
    damage, collected = engine.layers.damage, []

    def meanwhile(layer: LayerId) -> str | None:
        collected.append(engine.collector.collect())
        return damage(layer)

    monkeypatch.setattr(engine.layers, "damage", meanwhile)
    assert images.verify() == []
    assert collected == [None]
    store.close()
    engine.database.close()
