"""Docker's own builder: BuildKit in a daemon, where docker.io is installed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from paas.host import syscalls
from tests.bench.dockerd import Docker
from tests.engine.build.corpus.case import Case
from tests.engine.build.product import Node, Product, config_of, look
from tests.engine.build.rig import BASE


class DockerBuild:
    """Builds by one daemon, whose storage driver is overlay2."""

    newer = False
    lanes = 2

    def __init__(self, folder: Path, base: Path, docker: Docker) -> None:
        """`base` is a tar of the base image; images are looked at below `folder`."""
        self._docker = docker
        self._folder = folder
        folder.mkdir()
        self.name = f"docker {docker.run('version', '--format', '{{.Server.Version}}').strip()}"
        docker.run("import", "--change", 'CMD ["/bin/sh"]', os.fspath(base), BASE)

    def build(self, case: Case, context: Path) -> Product:
        """Build a case, whose files are in `context`, and look at the image."""
        options = case.options(self.name, context.with_name("Dockerfile.docker"))
        image = self._docker.run("build", "--quiet", *options, str(context)).strip()
        (found,) = json.loads(self._docker.run("image", "inspect", image))
        document = {"config": found["Config"], "author": found["Author"]}
        layers = found["GraphDriver"]["Data"]
        lower = [layers["UpperDir"], *layers.get("LowerDir", "").split(":")]
        return Product(self._look([one for one in lower if one]), config_of(document))

    def _look(self, layers: list[str]) -> dict[str, Node]:
        """The files of an image: its layers, the topmost first, mounted as the driver does."""
        storage = Path(layers[0]).parent.parent
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        empty, root = folder / "empty", folder / "root"
        for path in (empty, root):
            path.mkdir()
        names = ":".join([*(os.path.relpath(layer, storage) for layer in layers), str(empty)])
        syscalls.in_directory(
            storage,
            lambda: syscalls.mount(
                "overlay", root, "overlay", syscalls.MS_RDONLY, f"lowerdir={names}"
            ),
        )
        try:
            return look(root)
        finally:
            syscalls.umount(root)
