"""Images of other engines run here, and those built here run there: the real tools."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.build.context import DirectoryContext
from paas.engine.images import Image
from paas.engine.registries import RegistrySettings
from paas.model.report import Silent
from tests.bench.dockerd import Docker, dockerd
from tests.engine.distribution import Distribution, distribution, reached_from
from tests.engine.machine import Machine
from tests.engine.others import SAYS, Containers, builder, checked, context

WAYS = ("registry", "docker-archive", "oci-archive")
BUILDERS = ("buildah", "umoci", "docker")


class Place:
    """This engine, a registry, and the others."""

    def __init__(self, machine: Machine, folder: Path, cleanup: ExitStack) -> None:
        self.machine = machine
        self.folder = folder
        self.registry: Distribution = cleanup.enter_context(distribution(folder / "registry"))
        self.others = Containers(folder / "others")
        cleanup.callback(self.others.destroy)
        self._cleanup = cleanup
        self._docker: Docker | None = None
        storage = machine.storage
        settings = RegistrySettings(plain_http=(self.registry.address,))
        registries.save(storage.registry.settings_file, settings)
        self.context = context(folder / "context")
        self.ours = builder(machine, folder).build(
            DirectoryContext(self.context, Silent(), 1_600_000_000), report=Silent()
        )
        self.others.build(self.context, "theirs:v1")

    @property
    def docker(self) -> Docker:
        """A daemon, started when it is first asked for."""
        if self._docker is None:
            folder = Path(tempfile.mkdtemp(prefix="paas-test-docker-", dir="/var/tmp"))
            self._cleanup.callback(shutil.rmtree, folder)
            self._docker = self._cleanup.enter_context(dockerd(folder))
        return self._docker

    def ref(self, name: str) -> str:
        return f"{self.registry.address}/{name}"

    def says(self, image: Image) -> str:
        """What a container of the image prints here."""
        config = image.config
        argv = (*(config.entrypoint or ()), *(config.cmd or ()))
        output = self.machine.run(*argv, image=image.id)
        assert output.code == 0, output.stderr
        return output.text


@pytest.fixture(scope="module")
def place(shared_machine: Machine) -> Iterator[Place]:
    with ExitStack() as cleanup:
        # On a disk: overlays of other engines do not like every tmpfs.
        folder = cleanup.enter_context(
            tempfile.TemporaryDirectory(dir="/var/tmp", prefix="paas-test-")
        )
        yield Place(shared_machine, Path(folder), cleanup)


def test_podman_runs_what_is_built_here(place: Place) -> None:
    storage, ref = place.machine.storage, place.ref("built/here:v1")
    storage.registry.push(place.ours, ref, Silent())
    place.others.podman("pull", "--tls-verify=false", ref)
    assert place.others.run(ref) == SAYS


@pytest.mark.parametrize("oci", [False, True], ids=["docker-archive", "oci-archive"])
def test_podman_loads_what_is_saved_here(place: Place, oci: bool) -> None:
    name = f"saved.test/here:{'oci' if oci else 'docker'}"
    archive = place.folder / "saved.tar"
    place.machine.storage.registry.save(place.ours, name, archive, Silent(), oci=oci)
    place.others.podman("load", "--input", archive)
    assert place.others.run(name) == SAYS


def test_skopeo_agrees_on_digests(place: Place) -> None:
    storage, ref = place.machine.storage, place.ref("digests:v1")
    storage.registry.push(place.ours, ref, Silent())
    told = json.loads(checked(["skopeo", "inspect", "--tls-verify=false", f"docker://{ref}"]))
    assert told["Digest"] == place.registry.digest("digests:v1")
    config = json.loads(
        checked(["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{ref}"])
    )
    ids = [storage.layers.diff_id(layer) for layer in place.ours.layers]
    assert config["rootfs"]["diff_ids"] == ids
    assert len(config["history"]) == len(place.ours.config.history)
    pulled = storage.registry.pull(ref, Silent())
    manifest = place.registry.manifest("digests:v1")[1]
    assert pulled.id == manifest["config"]["digest"]


def test_umoci_unpacks_what_is_saved_here(place: Place) -> None:
    archive, layout = place.folder / "umoci.tar", place.folder / "umoci-layout"
    place.machine.storage.registry.save(place.ours, "app:v1", archive, Silent(), oci=True)
    source = f"oci-archive:{archive}"
    checked(["skopeo", "--insecure-policy", "copy", source, f"oci:{layout}:v1"])
    bundle = place.folder / "umoci-bundle"
    checked(["umoci", "unpack", "--image", f"{layout}:v1", bundle])
    root = bundle / "rootfs"
    assert (root / "srv/kept").read_text() == "kept\n"
    assert {path.name for path in (root / "srv").iterdir()} == {"kept", "old"}
    assert {path.name for path in (root / "srv/old").iterdir()} == {"new"}
    assert json.loads((bundle / "config.json").read_text())["process"]["cwd"] == "/srv"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", BUILDERS)
def test_what_others_build_runs_here(place: Place, by: str, way: str) -> None:
    make: dict[str, Callable[[Place], str]] = {
        "buildah": by_buildah,
        "umoci": by_umoci,
        "docker": by_docker,
    }
    source = make[by](place)
    registry, name = place.machine.storage.registry, f"{by}/{way}:{secrets.token_hex(4)}"
    if way == "registry":
        copy(source, f"docker://{place.ref(name)}")
        image = registry.pull(place.ref(name), Silent())
    else:
        archive = place.folder / f"{secrets.token_hex(4)}.tar"
        copy(source, f"{way}:{archive}:{name}")
        [(reference, image)] = registry.load_all(archive, Silent())
        assert reference.familiar == name
    assert place.says(image) == SAYS


def by_buildah(place: Place) -> str:
    """Where skopeo finds the image that buildah built."""
    target = place.folder / "buildah.tar"
    if not target.exists():
        place.others.push("localhost/theirs:v1", f"docker-archive:{target}:theirs:v1")
    return f"docker-archive:{target}"


def by_umoci(place: Place) -> str:
    """One that umoci made step by step: files put in, files taken away, a configuration."""
    layout = place.folder / "umoci"
    image = f"{layout}:v1"
    if layout.exists():
        return f"oci:{image}"
    old, new = place.folder / "srv-old", place.folder / "srv-new"
    for folder, name in ((old, "x"), (new, "new")):
        (folder / "old").mkdir(parents=True)
        (folder / "kept").write_text("kept\n")
        (folder / "old" / name).write_text("x\n")
    (old / "gone").touch()
    steps: Sequence[Sequence[str | Path]] = (
        ["init", "--layout", layout],
        ["new", "--image", image],
        ["insert", "--image", image, place.context / "bin", "/bin"],
        ["insert", "--image", image, old, "/srv"],
        ["insert", "--image", image, "--opaque", new, "/srv"],
        [
            *("config", "--image", image, "--config.env", "GREETING=hello"),
            *("--config.user", "7:8", "--config.workingdir", "/srv"),
            *("--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c"),
            *("--config.cmd", "echo $GREETING; id -u; id -g; cat kept; ls old; ls"),
        ],
    )
    for step in steps:
        checked(["umoci", *step])
    return f"oci:{image}"


def by_docker(place: Place) -> str:
    target = place.folder / "docker.tar"
    if not target.exists():
        place.docker.run("build", "-q", "-t", "theirs:v1", str(place.context))
        place.docker.run("save", "-o", str(target), "theirs:v1")
    return f"docker-archive:{target}"


def copy(source: str, target: str) -> None:
    insecure = ["--dest-tls-verify=false"] if target.startswith("docker://") else []
    checked(["skopeo", "--insecure-policy", "copy", *insecure, source, target])


def test_docker_runs_what_is_saved_or_pushed_here(place: Place) -> None:
    storage, archive = place.machine.storage, place.folder / "for-docker.tar"
    storage.registry.save(place.ours, "ours:v1", archive, Silent())
    place.docker.run("load", "-i", str(archive))
    ref = place.ref("for/docker:v1")
    storage.registry.push(place.ours, ref, Silent())
    with reached_from(Path(f"/proc/{place.docker.pid}/ns/net"), place.registry.port):
        place.docker.run("pull", "-q", ref)
    limits = ["--ulimit", "nofile=1024:1024"]
    for name in ("ours:v1", ref):
        assert place.docker.run("run", "--rm", "--network", "none", *limits, name) == SAYS
