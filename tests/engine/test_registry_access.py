"""Registries that ask who is there, and whose certificates nobody signed."""

from __future__ import annotations

import json
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.config import ImageConfig, host_architecture
from paas.engine.images import Image
from paas.engine.registries import InvalidRegistry, RegistrySettings, checked_authority
from paas.engine.registry import PullFailed, PushFailed
from paas.engine.skopeo import LoginFailed
from paas.host.disk import Disk, DiskFull
from paas.host.processes import run
from paas.model.report import Lines, Silent
from tests.authority import bundle, leaf, root
from tests.engine.distribution import Distribution, distribution
from tests.engine.storage import Storage
from tests.engine.tokens import TokenServer, tokens

USER, PASSWORD = "ann", "s3cret word"

INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def image(storage: Storage) -> Image:
    layer = storage.layer(lambda upper: (upper / "file").write_text("content"))
    return storage.images.add(ImageConfig(cmd=("/bin/true",)), [layer])


@pytest.fixture
def locked(folder: Path) -> Iterator[Distribution]:
    """It asks for a name and a password (RFC 7617)."""
    passwords = folder / "htpasswd"
    passwords.write_text(run(["htpasswd", "-nbB", USER, PASSWORD]).text)
    auth = f"auth:\n  htpasswd: {{realm: tests, path: {passwords}}}\n"
    with distribution(folder / "registry", auth=auth) as server:
        yield server


def allow(storage: Storage, server: Distribution) -> None:
    settings = RegistrySettings(plain_http=(server.address,))
    registries.save(storage.registry.settings_file, settings)


def test_without_a_login_nothing_goes_either_way(
    storage: Storage, image: Image, locked: Distribution
) -> None:
    allow(storage, locked)
    with pytest.raises(PushFailed, match="login"):
        storage.registry.push(image, f"{locked.address}/app", Silent())
    with pytest.raises(PullFailed, match="login"):
        storage.registry.pull(f"{locked.address}/app", Silent())


def test_a_wrong_password_is_not_kept_and_the_right_one_stays(
    storage: Storage, image: Image, locked: Distribution
) -> None:
    allow(storage, locked)
    registry = storage.registry
    with pytest.raises(LoginFailed, match=f"does not take the login of {USER}") as caught:
        registry.login(locked.address, USER, "wrong pass")
    assert "wrong pass" not in str(caught.value)
    assert registry.logins() == []
    registry.login(locked.address, USER, PASSWORD)
    with pytest.raises(LoginFailed):
        registry.login(locked.address, USER, "wrong pass")
    assert [(one.registry, one.username) for one in registry.logins()] == [(locked.address, USER)]
    assert stat.S_IMODE(registry.skopeo.credentials_file.stat().st_mode) == 0o600
    registry.push(image, f"{locked.address}/app", Silent())
    assert registry.pull(f"{locked.address}/app", Silent()).layers == image.layers
    registry.logout(locked.address)
    assert registry.logins() == []
    assert PASSWORD not in registry.skopeo.credentials_file.read_text()
    with pytest.raises(InvalidRegistry, match="Nobody is logged in"):
        registry.logout(locked.address)
    with pytest.raises(PullFailed):
        registry.pull(f"{locked.address}/app", Silent())


def test_tokens_as_docker_hub_has_them(storage: Storage, image: Image, folder: Path) -> None:
    """Anybody may pull, who is logged in may push."""
    with tokens(USER, PASSWORD) as given, token_registry(folder, given) as server:
        allow(storage, server)
        with pytest.raises(PushFailed):
            storage.registry.push(image, f"{server.address}/team/app", Silent())
        storage.registry.login(server.address, USER, PASSWORD)
        storage.registry.push(image, f"{server.address}/team/app", Silent())
        assert any("push" in actions for actions in given.given)
        storage.registry.logout(server.address)
        given.given.clear()
        pulled = storage.registry.pull(f"{server.address}/team/app", Silent())
        assert pulled.layers == image.layers
        assert {*map(tuple, given.given)} == {("pull",)}


def token_registry(folder: Path, given: TokenServer):  # noqa: ANN201
    return distribution(folder / "registry", auth=given.yaml(folder))


def test_a_certificate_of_a_private_authority_is_trusted_when_it_is_set(
    storage: Storage, image: Image, folder: Path
) -> None:
    served = leaf("localhost")
    (folder / "server.pem").write_bytes(bundle(served))
    (folder / "server.key").write_bytes(served.key)
    tls = f"  tls: {{certificate: {folder}/server.pem, key: {folder}/server.key}}\n"
    with distribution(folder / "registry", host="localhost", tls=tls) as server:
        ref, file = f"{server.address}/app", storage.registry.settings_file
        storage.layers.prepare()
        with pytest.raises(PushFailed, match=r"x509|certificate"):
            storage.registry.push(image, ref, Silent())
        pem = root().pem.decode()
        # That of another registry is none for this one.
        registries.save(file, RegistrySettings(authorities={"other.lan:5000": pem}))
        with pytest.raises(PushFailed, match=r"x509|certificate"):
            storage.registry.push(image, ref, Silent())
        registries.save(
            file, RegistrySettings(authorities={server.address: checked_authority(pem)})
        )
        storage.registry.push(image, ref, Silent())
        assert storage.registry.pull(ref, Silent()).layers == image.layers


def test_what_is_no_certificate_is_refused() -> None:
    for text in ("", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(InvalidRegistry, match="no certificate"):
            checked_authority(text)


@pytest.fixture
def server(folder: Path) -> Iterator[Distribution]:
    with distribution(folder / "registry") as server:
        yield server


def test_of_a_manifest_list_the_image_for_this_machine_is_pulled(
    storage: Storage, image: Image, server: Distribution
) -> None:
    allow(storage, server)
    here = host_architecture()
    foreign = "arm64" if here == "amd64" else "amd64"
    other = storage.images.add(
        replace(image.config, architecture=foreign), [storage.layer(lambda up: (up / "f").touch())]
    )
    entries = []
    for architecture, one in ((foreign, other), (here, image)):
        storage.registry.push(one, f"{server.address}/app:{architecture}", Silent())
        kind, manifest = server.manifest(f"app:{architecture}")
        entries.append(
            {
                "mediaType": kind,
                "digest": server.digest(f"app:{architecture}"),
                "size": len(json.dumps(manifest, separators=(",", ":"))),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    server.put("app:latest", INDEX, index)
    pulled = storage.registry.pull(f"{server.address}/app", Silent())
    assert pulled.config.architecture == here
    assert pulled.layers == image.layers
    index["manifests"] = entries[:1]
    server.put("app:foreign", INDEX, index)
    with pytest.raises(PullFailed):
        storage.registry.pull(f"{server.address}/app:foreign", Silent())


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_compressed_layers_are_pulled(
    storage: Storage, image: Image, server: Distribution, tmp_path: Path, form: str
) -> None:
    storage.registry.save(image, "app", tmp_path / "image.tar", Silent(), oci=True)
    run(
        [
            *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"),
            *(f"--dest-compress-format={form}", f"oci-archive:{tmp_path}/image.tar"),
            f"docker://{server.address}/app",
        ]
    )
    [layer] = server.manifest("app:latest")[1]["layers"]
    assert layer["mediaType"].endswith(form)
    other = Storage()
    try:
        other.layers.prepare()
        allow(other, server)
        said = bytearray()
        pulled = other.registry.pull(f"{server.address}/app", Lines(said.extend))
        assert (other.layers.path(pulled.layers[0]) / "file").read_text() == "content"
        assert "MB" in said.decode()
    finally:
        other.destroy()


def test_a_full_disk_is_named_before_anything_is_fetched(
    storage: Storage, image: Image, server: Distribution
) -> None:
    allow(storage, server)
    storage.registry.push(image, f"{server.address}/app", Silent())
    server.fetched()
    storage.layers.disk = Disk(storage.root, reserve=1 << 60)
    checks: list[Callable[[], object]] = [
        lambda: storage.registry.pull(f"{server.address}/app", Silent()),
        lambda: storage.registry.push(image, f"{server.address}/other", Silent()),
    ]
    for act in checks:
        with pytest.raises(DiskFull, match="There is no room for") as caught:
            act()
        assert "paas gc" in caught.value.resolution
    assert server.fetched() == []
