"""A Dockerfile that starts from an image of a registry: Debian's own docker-registry.

It stands in for Docker Hub by the mirror setting, so `FROM busybox` goes all the way that
it goes on a server with internet.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.registries import RegistrySettings
from tests.push.app import App
from tests.push.outcome import eventually
from tests.push.server import Server
from tests.push.sshd import free_port

DOCKERFILE = """\
FROM busybox
COPY index.html /www/
CMD ["/bin/busybox", "httpd", "-f", "-p", "0.0.0.0:5000", "-h", "/www"]
"""

CONFIG = """\
version: 0.1
storage:
  filesystem: {{rootdirectory: {storage}}}
http:
  addr: 127.0.0.1:{port}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry with `library/busybox` in it, made by umoci."""
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    config = folder / "config.yml"
    config.write_text(CONFIG.format(storage=folder / "storage", port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", config], stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"127.0.0.1:{port}"
        eventually(lambda: answers(address))
        publish(folder, address)
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=1) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


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
        [
            *("skopeo", "copy", "-q", "--dest-tls-verify=false"),
            f"oci:{layout}:latest",
            f"docker://{address}/library/busybox:latest",
        ],
    ):
        subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture(scope="module", autouse=True)
def mirrored(server: Server, registry: str) -> Iterator[None]:
    """Docker Hub is asked for at the registry, which speaks plain HTTP."""
    path = server.layout.engine / "registries.json"
    registries.save(path, RegistrySettings({"docker.io": (registry,)}, plain_http=(registry,)))
    yield
    path.unlink()


def test_an_image_that_is_not_there_is_named_with_its_line(app: App) -> None:
    pushed = app.push({"Dockerfile": "FROM 127.0.0.1:1/no/such:image\nCMD true\n"}).failed()
    assert "Dockerfile:1" in pushed.text
    assert "127.0.0.1:1/no/such:image" in pushed.text


def test_an_image_of_docker_hub_is_pulled_built_on_and_served(app: App) -> None:
    pushed = app.push({"Dockerfile": DOCKERFILE, "index.html": "from the hub\n"}).ok()
    assert "Pulling busybox" in pushed.text
    assert app.get().text == "from the hub\n"
    again = app.push({"index.html": "from the store\n"}).ok()
    assert "Pulling" not in again.text
    assert app.get().text == "from the store\n"
