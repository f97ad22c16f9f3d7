"""What apps share: files that outlive their instances, and networks with names."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import eventually
from tests.push.server import Server


@pytest.fixture(scope="module")
def pair(server: Server) -> Iterator[tuple[App, App]]:
    """Two apps that are served, and know nothing of each other."""
    both = new_app(server, "reach"), new_app(server, "reach")
    for app in both:
        app.push(apps.plain()).ok()
    yield both
    for app in both:
        server.paas("apps:destroy", app.name, "--force").ok()


def reaches(source: App, target: str) -> str:
    return source.get(f"/connect/{target}").text


def test_apps_find_each_other_in_a_network_and_only_there(
    server: Server, pair: tuple[App, App]
) -> None:
    one, other = pair
    named = (f"{other.name}.internal:80", f"{other.name}:80", f"{other.name}.web.1.internal:5000")
    assert [reaches(one, name) for name in named] == ["gaierror"] * 3
    server.ssh("network:create back").ok()
    for app in pair:
        app.ssh("network:set {} attach-post-deploy back --alias {}-alias").ok()
    names = (*named, f"{other.name}-alias:80")
    # dnsmasq sees the file change; what it said before is remembered for a second.
    assert eventually(lambda: [reaches(one, name) for name in names] == ["open"] * 4)
    # The next instance is found by the same name, in the same network.
    other.ssh("ps:restart {}").ok()
    assert eventually(lambda: [reaches(one, name) for name in names] == ["open"] * 4)
    assert "has " in server.ssh("network:destroy back --force").failed().err
    for app in pair:
        app.ssh("network:set {} attach-post-deploy").ok()
    assert eventually(lambda: reaches(one, f"{other.name}:80") == "gaierror")
    server.ssh("network:destroy back --force").ok()


def test_files_on_a_volume_outlive_instances(server: Server, pair: tuple[App, App]) -> None:
    app, other = pair
    server.ssh("storage:create shared").ok()
    app.ssh("storage:mount {} shared:/app/data").ok()
    app.ssh("run {} sh -c 'echo kept > /app/data/file'").ok()
    app.ssh("ps:restart {}").ok()
    # Under other user ids, it is the other app's as well.
    other.ssh("storage:mount {} shared:/data").ok()
    assert other.ssh("run {} sh -c 'cat /data/file && echo more >> /data/file'").ok().out == (
        "kept\n"
    )
    backup = server.paas("storage:export", "shared").ok()
    with tarfile.open(fileobj=io.BytesIO(backup.stdout)) as archive:
        assert archive.extractfile("./file").read() == b"kept\nmore\n"  # type: ignore[union-attr]
    assert "is mounted in" in server.ssh("storage:destroy shared --force").failed().err
    assert "have the volume shared open" in server.ssh(
        "storage:import shared --force", input=backup.stdout
    ).failed().err  # fmt: skip
    app.ssh("storage:unmount {} shared:/app/data").ok()
    other.ssh("storage:unmount {} shared:/data").ok()
    server.ssh("storage:import shared --force", input=backup.stdout).ok()
    server.ssh("storage:destroy shared --force").ok()
    assert app.get().status == 200
