"""The field's own builder without a daemon: Debian's buildah, of the host and of newer releases.

Its storage is its own (vfs: a directory per layer, read here as it lies), its RUNs are
chroots, so it works in a container that has no CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.engine.build.corpus.case import Case
from tests.engine.build.product import Product, config_of, look
from tests.engine.build.rig import BASE

CACHE = Path(os.environ.get("PAAS_TEST_CACHE", "/var/cache/paas-test"))
NEWER = "buildah-*/complete"
"""Below `CACHE`: releases of Debian that test.sh has unpacked."""

CHROOT = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t proc proc "$1/proc" &&
    mount --rbind /sys "$1/sys" && mount --rbind /dev "$1/dev" && mount --rbind /tmp "$1/tmp" &&
    mount --rbind /var/tmp "$1/var/tmp" && exec chroot "$@"
"""

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}

LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")
"""Within those of a container that has no CAP_SYS_RESOURCE."""


class Buildah:
    """One storage of its own, below `folder`."""

    def __init__(self, folder: Path, base: Path, inside: Sequence[str] = ()) -> None:
        """`base` is a tar of the base image; `inside` an argv that runs a program elsewhere."""
        self._folder = folder
        self._inside = inside
        # One image file for all, and a storage that is locked.
        self.lanes = 1
        self.newer = bool(inside)
        folder.mkdir()
        # Its registries.conf: nothing is ever pulled.
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        self.name = " ".join(self.run("--version").split()[::2][:2])
        container = self.run("from", *LIMITS, "scratch")
        self.run("add", container, str(base), "/")
        self.run("config", "--cmd", '["/bin/sh"]', container)
        self.run("commit", "--rm", "--quiet", container, f"localhost/{BASE}")

    def build(self, case: Case, context: Path) -> Product:
        """Build a case, whose files are in `context`, and look at the image."""
        options = case.options(self.name, context.with_name("Dockerfile.buildah"))
        image_file = self._folder / "image"
        self.run(
            *("build", "--isolation=chroot", "--layers=false", "--format=docker", "--quiet"),
            *(*LIMITS, f"--iidfile={image_file}", *options, str(context)),
        )
        return self._product(image_file.read_text().removeprefix("sha256:"))

    def _product(self, image: str) -> Product:
        """The image as it lies in the storage: a name for each of its documents, in base64."""
        images = self._folder / "storage/vfs-images"
        records = json.loads((images / "images.json").read_text())
        (record,) = (each for each in records if each["id"] == image)
        name = base64.b64encode(f"sha256:{image}".encode()).decode()
        document = json.loads((images / image / f"={name}").read_text())
        tree = look(self._folder / "storage/vfs/dir" / record["layer"])
        del tree["."]  # Always 0555: the storage's own directory, not the image's root.
        return Product(tree, config_of(document))

    def run(self, *words: str) -> str:
        """One command of buildah's; its output."""
        storage = [f"--root={self._folder}/storage", f"--runroot={self._folder}/run"]
        done = subprocess.run(
            [
                *(*self._inside, "buildah", *storage, "--storage-driver=vfs"),
                *(f"--registries-conf={self._folder}/registries.conf", *words),
            ],
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuilderFailed(done.stderr.decode(errors="replace"))
        return done.stdout.decode().strip()


def newer() -> dict[str, Sequence[str]]:
    """For each release that is unpacked the argv that runs a program in it, as in this one's
    directories of temporary files."""
    found = sorted(path.parent for path in CACHE.glob(NEWER))
    return {
        path.name: ("unshare", "--mount", "sh", "-c", CHROOT, "sh", str(path)) for path in found
    }


class BuilderFailed(Exception):
    """What the other builder said."""
