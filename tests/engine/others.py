"""Other engines, each with a store of its own, and a builder of ours to set beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.builder import Builder
from paas.engine.build.buildhost import BuildHost
from paas.engine.build.cache import Cache
from paas.engine.build.caches import CacheMounts
from paas.engine.build.maker import Tools
from paas.engine.build.mounts import StepMounts
from paas.engine.build.remote import Remotes
from paas.engine.build.run import Runner
from paas.engine.build.workspace import Workspace
from paas.engine.images import Image, ImageNotFound
from paas.engine.outside import Outside
from paas.host.files import remove_tree
from tests.engine.machine import Machine

APPLETS = ("sh", "cat", "ls", "stat", "touch", "rm", "mkdir", "id")

DOCKERFILE = """\
FROM scratch
COPY bin /bin
ENV GREETING=hello
RUN ["/bin/busybox", "mkdir", "-p", "/srv/old"]
RUN ["/bin/sh", "-c", "echo kept > /srv/kept; echo gone > /srv/gone; echo x > /srv/old/x"]
RUN ["/bin/sh", "-c", "rm /srv/gone; rm -r /srv/old; mkdir /srv/old; echo new > /srv/old/new"]
USER 7:8
WORKDIR /srv
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $GREETING; id -u; id -g; cat kept; ls old; ls"]
"""
SAYS = "hello\n7\n8\nkept\nnew\nkept\nold\n"
"""What an image of that file prints, whoever built it and whoever runs it."""


def context(folder: Path) -> Path:
    """A directory to build `DOCKERFILE` in."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for applet in APPLETS:
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


@dataclass(frozen=True)
class Containers:
    """podman and buildah over one store below `folder`."""

    folder: Path

    def podman(self, *args: str | Path) -> str:
        """A podman command; its output."""
        runtime = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        return self._run("podman", *runtime, "--events-backend", "none", *args)

    def run(self, image: str) -> str:
        """What a container of the image prints."""
        # A container may ask for no more than its host gives (no CAP_SYS_RESOURCE in CI).
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=16000:16000"]
        return self.podman("run", "--rm", "--network", "none", *limits, image)

    def build(self, folder: Path, tag: str) -> None:
        self._run("buildah", "bud", "--layers", "--isolation", "chroot", "-t", tag, folder)

    def push(self, image: str, target: str) -> None:
        self._run("buildah", "push", "--tls-verify=false", image, target)

    def _run(self, program: str, *args: str | Path) -> str:
        store = ["--root", self.folder / "root", "--runroot", self.folder / "run"]
        return checked([program, *store, "--storage-driver", "overlay", *args])

    def destroy(self) -> None:
        self.podman("system", "reset", "--force")
        remove_tree(self.folder)


def checked(argv: Sequence[str | Path]) -> str:
    """Run a program; its output. Fails with what it said."""
    home = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=home)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def builder(machine: Machine, folder: Path) -> Builder:
    """A builder that has nothing to pull."""
    storage, layout, clock = machine.storage, machine.layout, machine.clock
    bundle = folder / "ca.crt"
    bundle.write_text("none\n")
    runner = Runner(layout, storage.layers, machine.foreground, lambda: BuildHost({}, bundle, ""))
    workspace = Workspace(layout, storage.layers, storage.rootfs)
    caches = CacheMounts(layout, storage.db, clock)
    mounts = StepMounts(layout, workspace, storage.rootfs, storage.ranges, caches)
    cache = Cache(layout, storage.db, storage.layers, clock)
    remotes = Remotes(layout, Outside(layout, machine.network), storage.layers)
    tools = Tools(cache, workspace, runner, mounts, remotes)
    return Builder(storage.images, storage.layers, tools, nothing, clock)


def nothing(ref: str, _: object) -> Image:
    raise ImageNotFound(ref)
