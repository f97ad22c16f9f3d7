"""Images and the names they go by."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from paas.engine.config import ImageConfig
from paas.engine.images import ImageNotFound, Images
from paas.engine.layers import LayerId
from paas.engine.reference import InvalidReference
from paas.host.database import Database, Unique

CONFIG = ImageConfig(env={"B": "2", "A": "1"}, cmd=("/bin/sh",))
LOW, HIGH = LayerId("low"), LayerId("high")


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = Database(tmp_path / "engine.db", files("paas.engine") / "migrations")
    for layer in (LOW, HIGH):
        db.execute("INSERT INTO layers (layer, bytes, created_at) VALUES (?, 0, 0)", (layer,))
    return db


@pytest.fixture
def images(db: Database) -> Images:
    return Images(db)


def test_an_unknown_id_is_not_found(images: Images) -> None:
    with pytest.raises(ImageNotFound):
        images.get("sha256:" + "0" * 64)
    assert images.resolve("sha256:" + "0" * 64) is None
    assert images.resolve("nothing:here") is None


def test_a_bad_name_is_refused(images: Images) -> None:
    image = images.add(CONFIG, [LOW])
    with pytest.raises(InvalidReference):
        images.tag("Bad Name", image.id)
    with pytest.raises(InvalidReference):
        images.resolve("Bad Name")


def test_an_image_of_a_missing_layer_is_not_kept(images: Images) -> None:
    with pytest.raises(Unique):
        images.add(CONFIG, [LOW, LayerId("nosuch")])
    assert images.list() == []


def test_a_name_of_a_missing_image_is_not_kept(images: Images) -> None:
    with pytest.raises(Unique):
        images.tag("app", "sha256:" + "0" * 64)


def test_comes_back_as_it_was_added(images: Images) -> None:
    image = images.add(CONFIG, [LOW, HIGH])
    assert images.get(image.id) == image
    assert list(images.get(image.id).config.env) == ["B", "A"]
    assert images.layers() == {LOW, HIGH}


def test_the_same_again_is_the_same_image(images: Images) -> None:
    first = images.add(CONFIG, [LOW])
    assert images.add(CONFIG, [LOW]) == first
    assert images.add(CONFIG, [LOW, HIGH]).id != first.id
    assert len(images.list()) == 2


def test_a_name_moves_to_another_image(images: Images) -> None:
    old, new = images.add(CONFIG, [LOW]), images.add(CONFIG, [HIGH])
    images.tag("app:v1", old.id)
    images.tag("docker.io/library/app:v1", new.id)
    assert images.resolve("app:v1") == new
    assert images.refs() == {"docker.io/library/app:v1": new.id}


def test_removing_an_image_removes_its_names(images: Images) -> None:
    image = images.add(CONFIG, [LOW])
    images.tag("app", image.id)
    images.remove(image.id)
    assert images.resolve("app") is None
    assert images.layers() == set()


def test_untagging_keeps_the_image(images: Images) -> None:
    image = images.add(CONFIG, [LOW])
    images.tag("app", image.id)
    images.untag("app")
    assert images.resolve("app") is None
    assert images.resolve(image.id) == image
