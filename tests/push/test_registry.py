"""A Dockerfile that starts from an image of a registry, and the commands about images.

Debian's own docker-registry stands in for Docker Hub by the mirror setting, so `FROM
busybox` goes all the way that it goes on a server with internet.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.distribution import Distribution, distribution
from tests.push.app import App
from tests.push.server import Server

DOCKERFILE = """\
FROM busybox
COPY index.html /www/
CMD ["/bin/busybox", "httpd", "-f", "-p", "0.0.0.0:5000", "-h", "/www"]
"""

SITE = [
    f"--config.cmd={word}"
    for word in ("/bin/busybox", "httpd", "-f", "-p", "0.0.0.0:5000", "-h", "/bin")
]
"""What umoci makes an image of that serves its own programs."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    """A registry with `library/busybox` in it, made by umoci."""
    folder = tmp_path_factory.mktemp("registry")
    with distribution(folder) as registry:
        publish(folder, registry.address)
        yield registry


def publish(folder: Path, address: str) -> None:
    """Make an image out of busybox alone, and push it where Docker Hub would have it."""
    tree = folder / "bin"
    tree.mkdir()
    (tree / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (tree / "busybox").chmod(0o755)
    (tree / "sh").symlink_to("busybox")
    layout = f"{folder}/layout"
    for argv in (
        ["umoci", "init", "--layout", layout],
        ["umoci", "new", "--image", f"{layout}:latest"],
        ["umoci", "insert", "--image", f"{layout}:latest", tree, "/bin"],
        ["umoci", "config", "--image", f"{layout}:latest", "--tag", "site", *SITE],
        copy(f"oci:{layout}:latest", f"{address}/library/busybox:latest"),
        copy(f"oci:{layout}:site", f"{address}/library/site:latest"),
    ):
        subprocess.run(argv, check=True, capture_output=True)


def copy(source: str, target: str) -> list[str]:
    """The argv that pushes an image."""
    return ["skopeo", "copy", "-q", "--dest-tls-verify=false", source, f"docker://{target}"]


@pytest.fixture(scope="module", autouse=True)
def mirrored(server: Server, registry: Distribution) -> Iterator[None]:
    """Docker Hub is asked for at the registry, which speaks plain HTTP."""
    server.ssh(f"registry:set {registry.address} --plain-http on").ok()
    server.ssh(f"registry:set docker.io --mirror {registry.address}").ok()
    yield
    server.ssh("registry:set docker.io --mirror none").ok()
    server.ssh(f"registry:set {registry.address} --plain-http off").ok()


def test_an_image_that_is_not_there_is_named_with_its_line(app: App) -> None:
    pushed = app.push({"Dockerfile": "FROM 127.0.0.1:1/no/such:image\nCMD true\n"}).failed()
    assert "Dockerfile:1" in pushed.text
    assert "127.0.0.1:1/no/such:image" in pushed.text


def test_an_image_of_a_registry_is_deployed_as_it_is(app: App) -> None:
    app.ssh("apps:create {}").ok()
    deployed = app.ssh("git:from-image {} site").ok()
    assert "Pulling site" in deployed.text
    assert app.get("/sh").body == Path("/bin/busybox").read_bytes()


def test_an_image_of_docker_hub_is_pulled_built_on_and_served(app: App) -> None:
    pushed = app.push({"Dockerfile": DOCKERFILE, "index.html": "from the hub\n"}).ok()
    assert "Pulling busybox" in pushed.text
    assert app.get().text == "from the hub\n"
    again = app.push({"index.html": "from the store\n"}).ok()
    assert "Pulling" not in again.text
    assert app.get().text == "from the store\n"


def test_a_malformed_setting_changes_nothing(server: Server) -> None:
    before = server.ssh("registry:list --format json").ok().out
    assert (
        "address of a registry"
        in server.ssh("registry:set 'no host' --plain-http on").failed().text
    )
    assert "--mirror" in server.ssh("registry:set docker.io").failed().text
    refused = server.ssh("registry:set docker.io --authority -", input=b"no certificate").failed()
    assert "no certificate in PEM" in refused.text
    assert "Nobody is logged in" in server.ssh("registry:logout docker.io").failed().text
    assert server.ssh("registry:list --format json").ok().out == before
    assert [one["registry"] for one in json.loads(before)][-1] == "docker.io"


def test_what_an_app_runs_is_not_removed(server: Server, app: App) -> None:
    app.push({"Dockerfile": DOCKERFILE, "index.html": "kept\n"}).ok()
    listed = json.loads(server.ssh("images:list --format json").ok().out)
    [image] = [one for one in listed if f"app {app.name} v1" in one["used_by"]]
    refused = server.ssh(f"images:remove {image['id']}").failed()
    assert "is in use" in refused.text
    assert f"by app {app.name} v1" in refused.text
    server.ssh("--force images:prune --all").ok()
    assert "freed" in server.ssh("gc").ok().text
    assert app.get().text == "kept\n"
    app.ssh("ps:restart {}").ok()
    assert app.get().text == "kept\n"
    history = json.loads(server.ssh(f"images:history {image['id']} --format json").ok().out)
    assert any("COPY index.html" in line["created_by"] and line["bytes"] for line in history)


def test_an_image_goes_out_and_comes_back(server: Server, registry: Distribution) -> None:
    server.ssh("images:pull busybox").ok()
    server.ssh(f"images:tag busybox {registry.address}/team/box:v1").ok()
    server.ssh(f"images:push {registry.address}/team/box:v1").ok()
    layers = registry.layers("team/box:v1")
    archive = server.ssh("images:save busybox").ok().stdout
    server.ssh(f"images:remove busybox {registry.address}/team/box:v1").ok()
    gone = server.ssh("images:inspect busybox").failed(20)
    assert "There is no image busybox" in gone.text
    assert "Loaded busybox:latest" in server.ssh("images:load", input=archive).ok().text
    inspected = json.loads(server.ssh("images:inspect busybox").ok().out)
    assert inspected["names"] == ["busybox:latest"]
    files = server.ssh("images:export busybox").ok().stdout
    with tarfile.open(fileobj=io.BytesIO(files)) as tar:
        assert {"bin/busybox", "bin/sh"} <= {*tar.getnames()}
    assert "Imported" in server.ssh("images:import flat:v1", input=files).ok().text
    again = server.ssh("images:export flat:v1").ok().stdout
    assert again == files
    assert "below paas/" in server.ssh("images:tag busybox paas/stack:debian-13").failed().text
    assert len(layers) == 1
    assert "as they were made" in server.ssh("images:verify").ok().text
    usage = json.loads(server.ssh("df --format json").ok().out)
    assert {"images", "volumes", "build cache"} <= {one["kind"] for one in usage["usage"]}
    server.ssh("images:remove busybox flat:v1").ok()
