"""The field's own builder, for the same Dockerfiles: Debian's buildah, without a daemon.

Its storage is its own (vfs: a directory per layer), its RUNs are chroots, so it works in
a container that has no CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.engine.config import ImageConfig
from tests.engine.build.rig import BASE, Rig

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Node:
    """One path of an image: all of it but its times. `names` are its hard links."""

    mode: str
    owner: tuple[int, int]
    content: bytes
    xattrs: Mapping[str, bytes]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """What a builder made."""

    tree: Mapping[str, Node]
    config: Mapping[str, Any]


class Buildah:
    """One storage of its own, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        # Its registries.conf: nothing is ever pulled.
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")

    def take_base(self, rig: Rig) -> None:
        """Import the base image of our tests under its name."""
        image = rig.images.resolve(BASE)
        assert image is not None
        archive = self._folder / "base.tar"
        with rig.workspace.tree(image.layers) as root, tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        container = self.run("from", "scratch")
        self.run("add", container, str(archive), "/")
        self.run("config", "--cmd", '["/bin/sh"]', container)
        self.run("commit", "--rm", "--quiet", container, f"localhost/{BASE}")

    def build(self, context: Path, args: Mapping[str, str], target: str | None) -> Product:
        """Build the Dockerfile of a directory and look at the image."""
        options = [f"--build-arg={name}={value}" for name, value in args.items()]
        options += [f"--target={target}"] if target else []
        image_file = self._folder / "image"
        self.run(
            *("build", "--isolation=chroot", "--layers=false", "--format=docker", "--quiet"),
            *("--ulimit=nofile=1024:1024", f"--iidfile={image_file}", *options, str(context)),
        )
        image = image_file.read_text().removeprefix("sha256:")
        container = self.run("from", image)
        root = Path(self.run("mount", container))
        inspected = json.loads(self.run("inspect", "--type=image", image))
        product = Product(look(root), _config(inspected["Docker"]))
        self.run("rm", container)
        return product

    def run(self, *words: str) -> str:
        """One command of buildah's; its output."""
        storage = [f"--root={self._folder}/storage", f"--runroot={self._folder}/run"]
        done = subprocess.run(
            [
                *("buildah", *storage, "--storage-driver=vfs"),
                *(f"--registries-conf={self._folder}/registries.conf", *words),
            ],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildahFailed(done.stderr.decode(errors="replace"))
        return done.stdout.decode().strip()


class BuildahFailed(Exception):
    """What buildah said."""


def ours(rig: Rig, context: Path, args: Mapping[str, str], target: str | None) -> Product:
    """The same build by our builder."""
    image = rig.build_in(context, build_args=args, target=target)
    with rig.workspace.tree(image.layers) as root:
        return Product(look(root), _own_config(image.config))


def look(root: Path) -> dict[str, Node]:
    """Every path below `root`."""
    paths = sorted(Path(root).rglob("*"))
    names: dict[tuple[int, int], list[str]] = {}
    for path in paths:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(os.path.relpath(path, root))
    return {os.path.relpath(path, root): _node(path, names) for path in paths}


def _node(path: Path, names: Mapping[tuple[int, int], Sequence[str]]) -> Node:
    status = path.lstat()
    content = b""
    if path.is_symlink():
        content = os.fsencode(path.readlink())
    elif path.is_file():
        content = path.read_bytes()
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.overlay")
    }
    linked = names.get((status.st_dev, status.st_ino), ())
    mode = stat.filemode(status.st_mode)
    return Node(mode, (status.st_uid, status.st_gid), content, xattrs, tuple(linked))


def _config(document: Mapping[str, Any]) -> dict[str, Any]:
    config = document["config"]
    health = config.get("Healthcheck") or {}
    labels = {k: v for k, v in (config.get("Labels") or {}).items() if "buildah" not in k}
    return {
        "env": sorted(config.get("Env") or ()),
        "cmd": tuple(config.get("Cmd") or ()),
        "entrypoint": tuple(config.get("Entrypoint") or ()),
        "workdir": config.get("WorkingDir") or "",
        "user": config.get("User") or "",
        "volumes": sorted(config.get("Volumes") or ()),
        "ports": sorted(config.get("ExposedPorts") or ()),
        "labels": labels,
        "signal": config.get("StopSignal") or "",
        "shell": tuple(config.get("Shell") or ()),
        "onbuild": tuple(config.get("OnBuild") or ()),
        "author": document.get("author") or "",
        "health": {
            name: health[name]
            for name in ("Test", "Interval", "Timeout", "StartPeriod", "Retries")
            if health.get(name)
        },
    }


def _own_config(config: ImageConfig) -> dict[str, Any]:
    """Ours, by what a registry or `docker load` would be given."""
    return _config(config.to_json())
