"""Pull, push, load and save against a real registry and other engines' tools."""

from __future__ import annotations

import json
import os
import stat
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.config import ImageConfig, InvalidImage
from paas.engine.images import Image, ImageNotFound
from paas.engine.registries import RegistrySettings
from paas.engine.registry import LocalName, PullFailed, PushFailed, find_or_pull
from paas.engine.unpack import LayerRefused
from paas.model.report import Silent
from tests.engine.distribution import Distribution, cut, distribution
from tests.engine.storage import Storage

CONFIG = ImageConfig(
    env={"PATH": "/bin", "B": "2"},
    entrypoint=("/bin/app",),
    cmd=("serve",),
    workdir="/app",
    user="7:8",
)


@pytest.fixture
def server() -> Iterator[Distribution]:
    """One of a test's own: an empty one starts in a tenth of a second."""
    with tempfile.TemporaryDirectory() as folder, distribution(Path(folder)) as server:
        yield server


@pytest.fixture
def other() -> Iterator[Storage]:
    """A second engine, which has nothing of the first."""
    other = Storage()
    yield other
    other.destroy()


@pytest.fixture(autouse=True)
def trusting(storage: Storage, other: Storage, server: Distribution) -> None:
    settings = RegistrySettings(plain_http=(server.address,))
    for engine in (storage, other):
        engine.layers.prepare()
        registries.save(engine.registry.settings_file, settings)


def sample(storage: Storage) -> Image:
    """Two layers: files with owners, links and holes; then a removal and a replacement."""

    def low(upper: Path) -> None:
        (upper / "bin").mkdir()
        (upper / "bin/app").write_text("#!/bin/sh\n")
        (upper / "bin/app").chmod(0o4755)
        os.chown(upper / "bin", 7, 8)
        (upper / "bin/same").hardlink_to(upper / "bin/app")
        (upper / "gone").touch()
        (upper / "dir").mkdir()
        (upper / "dir/old").touch()

    below = storage.layer(low)
    upper = storage.layers.new_upper(below)
    root = storage.rootfs.mount("build", [below], storage.range, upper=upper)
    (root / "gone").unlink()
    (root / "dir/old").unlink()
    (root / "dir").rmdir()
    (root / "dir").mkdir()
    (root / "dir/new").touch()
    storage.rootfs.unmount("build")
    return storage.images.add(CONFIG, [below, storage.layers.commit(upper)])


def check_sample(storage: Storage, image: Image) -> None:
    root = storage.rootfs.mount("check", image.layers, storage.range)
    base = storage.range.base
    try:
        assert (root / "bin/app").read_text() == "#!/bin/sh\n"
        assert stat.S_IMODE((root / "bin/app").stat().st_mode) == 0o4755
        assert (root / "bin/same").stat().st_nlink == 2
        assert (root / "bin").stat().st_uid == base + 7
        assert not (root / "gone").exists()
        assert [path.name for path in (root / "dir").iterdir()] == ["new"]
    finally:
        storage.rootfs.unmount("check")
    assert image.config == CONFIG


def nothing_left(storage: Storage) -> bool:
    """No half-made layer and no half-read transfer."""
    places = (storage.layout.engine_fs / "tmp", storage.layout.engine / "scratch")
    return not any(list(place.iterdir()) for place in places if place.is_dir())


def test_local_names_are_neither_pulled_nor_pushed(storage: Storage) -> None:
    image = storage.images.add(CONFIG, [storage.layer()])
    with pytest.raises(LocalName, match="this server's own"):
        storage.registry.pull("paas/stack:debian-13", Silent())
    with pytest.raises(LocalName):
        storage.registry.push(image, "paas/app", Silent())
    with pytest.raises(ImageNotFound):
        find_or_pull(storage.images, storage.registry, "paas/none", Silent())


def test_what_the_registry_lacks_is_said(storage: Storage, server: Distribution) -> None:
    with pytest.raises(PullFailed, match=f"Cannot fetch {server.address}/none:latest") as caught:
        storage.registry.pull(f"{server.address}/none", Silent())
    assert "manifest unknown" in str(caught.value).lower()
    assert nothing_left(storage)


def test_plain_http_is_never_guessed(storage: Storage, server: Distribution) -> None:
    registries.save(storage.registry.settings_file, RegistrySettings())
    image = sample(storage)
    with pytest.raises(PushFailed):
        storage.registry.push(image, f"{server.address}/app", Silent())
    with pytest.raises(PullFailed):
        storage.registry.pull(f"{server.address}/app", Silent())
    assert server.empty


@pytest.mark.parametrize("how", ["changed", "cut off", "missing"])
def test_a_damaged_blob_of_the_registry_leaves_nothing(
    storage: Storage, other: Storage, server: Distribution, how: str
) -> None:
    ref = f"{server.address}/app"
    storage.registry.push(sample(storage), ref, Silent())
    blob = server.blob(server.layers("app:latest")[0])
    whole = blob.read_bytes()
    if how == "missing":
        blob.unlink()
    else:
        half = len(whole) // 2
        blob.write_bytes(whole[:half] + (b"" if how == "cut off" else bytes(len(whole) - half)))
    with pytest.raises((PullFailed, LayerRefused)):
        other.registry.pull(ref, Silent())
    assert other.images.list() == []
    assert nothing_left(other)
    blob.write_bytes(whole)
    check_sample(other, other.registry.pull(ref, Silent()))


def test_a_connection_that_breaks_leaves_nothing(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    noise = storage.layer(lambda upper: (upper / "noise").write_bytes(os.urandom(400_000)))
    image = storage.images.add(CONFIG, [noise])
    storage.registry.push(image, f"{server.address}/app", Silent())
    with cut(server.port, 100_000) as port:
        registries.save(
            other.registry.settings_file, RegistrySettings(plain_http=(f"127.0.0.1:{port}",))
        )
        with pytest.raises(PullFailed):
            other.registry.pull(f"127.0.0.1:{port}/app", Silent())
    assert other.layers.list() == []
    assert nothing_left(other)


def test_a_lie_about_the_content_is_refused(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    """A manifest that is consistent in itself, with a layer the configuration did not mean."""
    storage.registry.push(sample(storage), f"{server.address}/app", Silent())
    kind, manifest = server.manifest("app:latest")
    manifest["layers"].reverse()
    server.put("app:latest", kind, manifest)
    with pytest.raises(LayerRefused, match="its digest is"):
        other.registry.pull(f"{server.address}/app", Silent())
    assert other.layers.list() == []
    assert nothing_left(other)


def test_a_manifest_of_fewer_layers_is_refused(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    storage.registry.push(sample(storage), f"{server.address}/app", Silent())
    kind, manifest = server.manifest("app:latest")
    manifest["layers"].pop()
    server.put("app:latest", kind, manifest)
    with pytest.raises((InvalidImage, PullFailed)):
        other.registry.pull(f"{server.address}/app", Silent())
    assert other.images.list() == []


def test_an_image_for_another_machine_is_refused(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    image = storage.images.add(replace(CONFIG, architecture="s390x"), [storage.layer()])
    storage.registry.push(image, f"{server.address}/app", Silent())
    with pytest.raises(InvalidImage, match="made for linux/s390x"):
        other.registry.pull(f"{server.address}/app", Silent())
    assert other.layers.list() == []


def test_loading_what_is_no_archive_is_said(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no archive")
    with pytest.raises(PullFailed, match=r"Cannot fetch .*image.tar"):
        storage.registry.load(tmp_path / "image.tar", "app", Silent())
    assert nothing_left(storage)


def test_pushed_here_and_pulled_there_is_the_same(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    ref = f"{server.address}/team/app:v1"
    storage.registry.push(sample(storage), ref, Silent())
    image = other.registry.pull(ref, Silent())
    check_sample(other, image)
    assert other.images.resolve(ref) == image
    assert image.id == server.manifest("team/app:v1")[1]["config"]["digest"]
    assert nothing_left(other)


def test_pulling_again_downloads_no_layer(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    ref = f"{server.address}/app"
    storage.registry.push(sample(storage), ref, Silent())
    first = other.registry.pull(ref, Silent())
    server.has_given("app:latest")
    assert other.registry.pull(ref, Silent()) == first
    assert not {*server.fetched()} & {*server.layers("app:latest")}


def test_a_shared_base_is_downloaded_and_kept_once(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    image = sample(storage)
    more = storage.layer(lambda upper: (upper / "more").touch())
    bigger = storage.images.add(CONFIG, [*image.layers, more])
    storage.registry.push(image, f"{server.address}/base", Silent())
    storage.registry.push(bigger, f"{server.address}/app", Silent())
    base = other.registry.pull(f"{server.address}/base", Silent())
    server.has_given("base:latest")
    app = other.registry.pull(f"{server.address}/app", Silent())
    assert app.layers[:2] == base.layers
    assert not {*server.fetched()} & {*server.layers("base:latest")}
    assert len(other.layers.list()) == 3


def test_what_was_pushed_from_here_is_known_when_pulled(
    storage: Storage, server: Distribution
) -> None:
    """A layer's digest is remembered, so that it is not kept twice."""
    image = sample(storage)
    storage.registry.push(image, f"{server.address}/app", Silent())
    assert storage.registry.pull(f"{server.address}/app", Silent()).layers == image.layers


def test_two_pulls_at_once_unpack_once(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    ref = f"{server.address}/app"
    storage.registry.push(sample(storage), ref, Silent())
    pulled: list[Image] = []

    def pull_too() -> None:
        twin = Storage(other.root)
        pulled.append(twin.registry.pull(ref, Silent()))
        twin.db.close()

    thread = threading.Thread(target=pull_too)
    thread.start()
    image = other.registry.pull(ref, Silent())
    thread.join()
    assert pulled == [image]
    assert len(other.layers.list()) == 2


def test_a_mirror_stands_for_a_registry(
    storage: Storage, other: Storage, server: Distribution
) -> None:
    storage.registry.push(sample(storage), f"{server.address}/library/app", Silent())
    registries.save(
        other.registry.settings_file,
        RegistrySettings({"docker.io": (server.address,)}, (server.address,)),
    )
    image = find_or_pull(other.images, other.registry, "app", Silent())
    assert other.images.refs() == {"docker.io/library/app:latest": image.id}
    assert find_or_pull(other.images, other.registry, "app", Silent()) == image


def test_pulls_by_digest(storage: Storage, other: Storage, server: Distribution) -> None:
    storage.registry.push(sample(storage), f"{server.address}/app", Silent())
    digest = server.digest("app:latest")
    check_sample(other, other.registry.pull(f"{server.address}/app@{digest}", Silent()))


@pytest.mark.parametrize("oci", [False, True], ids=["docker", "oci"])
def test_saved_here_and_loaded_there_is_the_same(
    storage: Storage, other: Storage, tmp_path: Path, oci: bool
) -> None:
    archive = tmp_path / "image.tar"
    storage.registry.save(sample(storage), "app:v1", archive, Silent(), oci=oci)
    check_sample(other, other.registry.load(archive, "loaded:v2", Silent()))
    assert list(other.images.refs()) == ["docker.io/library/loaded:v2"]


def test_a_docker_archive_has_dockers_name(storage: Storage, tmp_path: Path) -> None:
    storage.registry.save(sample(storage), "app:v1", tmp_path / "image.tar", Silent())
    with tarfile.open(tmp_path / "image.tar") as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        assert json.load(member)[0]["RepoTags"] == ["docker.io/library/app:v1"]


def test_an_export_is_the_same_each_time(storage: Storage, tmp_path: Path) -> None:
    image = sample(storage)
    digests = set()
    for number in range(2):
        archive = tmp_path / f"{number}.tar"
        storage.registry.save(image, "app", archive, Silent(), oci=True)
        with tarfile.open(archive) as tar:
            member = tar.extractfile("index.json")
            assert member is not None
            digests.add(json.load(member)["manifests"][0]["digest"])
    assert len(digests) == 1
