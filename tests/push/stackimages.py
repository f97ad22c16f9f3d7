"""Images of a registry that can be a stack, and some that cannot: a server's own stack, changed
by umoci as others make images.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.model.report import Silent
from tests.engine.distribution import Distribution, distribution

DOCKERFILE = "FROM paas/stack:debian-13\nRUN useradd --uid 1000 ubuntu\nUSER ubuntu\n"
"""As Heroku's: a user of the number that apps run as, who is not root."""

OTHER_RELEASE = 'ID=debian\nVERSION_ID="99"\n'


@dataclass(frozen=True)
class Shelf:
    """Images by their tags in a layout, and where they can be put under a name."""

    folder: Path
    registry: Distribution

    def put(self, image: str, name: str) -> str:
        """Have the registry give an image under a name; the whole of that name."""
        address = f"{self.registry.address}/{name}"
        _do(
            "skopeo",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            self._oci(image),
            f"docker://{address}",
        )
        return address

    def changed(self, image: str, tag: str, path: str, content: bytes) -> None:
        """Make another image: with this file more, or instead of one that is there."""
        (self.folder / "file").write_bytes(content)
        _do(
            *("umoci", "insert", "--image", self._layout(image), "--tag", tag),
            *(str(self.folder / "file"), path),
        )

    def elsewhere(self, image: str, tag: str) -> None:
        """The same image, for a machine that this one is not."""
        _do("umoci", "config", "--image", self._layout(image), "--tag", tag, "--architecture=s390x")

    def bare(self, tag: str) -> None:
        """An image of a single file, which is no program."""
        _do("umoci", "new", "--image", self._layout(tag))
        self.changed(tag, tag, "/hello", b"hello\n")

    def _layout(self, image: str) -> str:
        return f"{self.folder}/layout:{image}"

    def _oci(self, image: str) -> str:
        return f"oci:{self._layout(image)}"


@contextmanager
def shelf(engine: Engine, folder: Path) -> Iterator[Shelf]:
    """A registry, and the image `stack` for it."""
    (folder / "context").mkdir()
    (folder / "context/Dockerfile").write_text(DOCKERFILE)
    archive = folder / "stack.tar"
    with engine.layers.lease():
        context = DirectoryContext(folder / "context", Silent())
        image = engine.builder.build(context, report=Silent())
        engine.registry.save(image, "stack:1", archive, Silent(), oci=True)
    with distribution(folder / "registry") as registry:
        made = Shelf(folder, registry)
        _do("skopeo", "copy", "-q", f"oci-archive:{archive}", made._oci("stack"))
        yield made


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
