"""What a manifest claims of its blobs is no harm to whoever pulls another image later."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from paas.engine import registries
from paas.engine.config import ImageConfig, InvalidImage
from paas.engine.registries import RegistrySettings
from paas.engine.registry import PullFailed
from paas.engine.unpack import LayerRefused
from paas.model.report import Silent
from tests.engine.distribution import Distribution, distribution
from tests.engine.storage import Storage


@pytest.fixture
def server() -> Iterator[Distribution]:
    with tempfile.TemporaryDirectory() as folder, distribution(Path(folder)) as server:
        yield server


@pytest.fixture
def pull(storage: Storage, server: Distribution) -> Callable[[str], Any]:
    """Pulls a tag of the one repository into the engine of the test."""
    trust(storage, server)
    return lambda tag: storage.registry.pull(f"{server.address}/app:{tag}", Silent())


@pytest.fixture
def tags(storage: Storage, server: Distribution) -> None:
    """Two images of one layer each, `mine` and `public`, that the engine has never had."""
    other = Storage()
    try:
        other.layers.prepare()
        trust(other, server)
        for tag in ("mine", "public"):
            layer = other.layer(lambda upper: (upper / "noise").write_bytes(os.urandom(4096)))
            image = other.images.add(ImageConfig(), [layer])
            other.registry.push(image, f"{server.address}/app:{tag}", Silent())
    finally:
        other.destroy()


def trust(engine: Storage, server: Distribution) -> None:
    engine.layers.prepare()
    settings = RegistrySettings(plain_http=(server.address,))
    registries.save(engine.registry.settings_file, settings)


def lie(server: Distribution, *, blob: str, layer: str, **descriptor: Any) -> None:
    """Put an image `evil` whose layer is the blob of a tag, and the content (or a digest that
    is no tag) of another."""
    kind, manifest = server.manifest(f"app:{blob}")
    diff_id = layer if layer.startswith("sha256:") else diff_ids(server, layer)[0]
    config = json.loads(server.blob(manifest["config"]["digest"]).read_bytes())
    config["rootfs"]["diff_ids"] = [diff_id]
    # Another image than the one whose layer it claims: else nobody looks at its layers.
    config["author"] = "evil"
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": server.store("app", data), "size": len(data)}
    manifest["layers"][0] |= descriptor
    server.put("app:evil", kind, manifest)


def diff_ids(server: Distribution, tag: str) -> list[str]:
    digest = server.manifest(f"app:{tag}")[1]["config"]["digest"]
    found: list[str] = json.loads(server.blob(digest).read_bytes())["rootfs"]["diff_ids"]
    return found


@pytest.mark.usefixtures("tags")
@pytest.mark.parametrize("size", [1 << 62, -5])
def test_a_size_is_not_believed(
    server: Distribution, pull: Callable[[str], Any], size: int
) -> None:
    lie(server, blob="mine", layer="mine", size=size)
    # Whether it is taken is its own affair.
    with suppress(PullFailed):
        pull("evil")
    pull("public")


@pytest.mark.usefixtures("tags")
def test_a_blob_is_not_taken_for_what_a_manifest_calls_it(
    server: Distribution, storage: Storage, pull: Callable[[str], Any]
) -> None:
    pull("mine")
    lie(server, blob="public", layer="mine")
    with suppress(PullFailed, LayerRefused):
        pull("evil")
    image = pull("public")
    assert storage.layers.diff_id(image.layers[0]) == diff_ids(server, "public")[0]


@pytest.mark.usefixtures("tags")
def test_a_blob_that_stands_in_is_not_taken_for_zeros(
    server: Distribution, storage: Storage, pull: Callable[[str], Any]
) -> None:
    """An empty file of the size of a blob that is here reads as a tar of nothing."""
    image = pull("public")
    size = server.manifest("app:public")[1]["layers"][0]["size"]
    zeros = hashlib.sha256(bytes(size)).hexdigest()
    lie(server, blob="public", layer=f"sha256:{zeros}")
    with pytest.raises(InvalidImage, match="another digest"):
        pull("evil")
    storage.images.untag(f"{server.address}/app:public")
    assert storage.collector.collect() is not None
    assert image.layers[0] not in storage.layers.list()
    pull("public")


@pytest.mark.usefixtures("tags")
def test_a_size_that_no_file_has_is_passed_over(
    server: Distribution, storage: Storage, pull: Callable[[str], Any]
) -> None:
    pull("mine")
    storage.db.execute("UPDATE blobs SET bytes = ?", (1 << 62,))
    server.has_given("app:mine")
    pull("public")
    pull("mine")
    server.has_given("app:mine")
