"""Stacks that are pulled: images of a registry that buildpack apps are built in and run on.

They go by the same names as those that are made here (`paas.engine.stack`), and are built on
like them. Labels say where an image came from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from paas.engine import inside
from paas.engine.build.workspace import Workspace
from paas.engine.images import Image, Images
from paas.engine.layers import Layers
from paas.engine.registry import Registry
from paas.errors import PaasError
from paas.model.report import Report

RUN, BUILD = "paas/stack:", "paas/stack-build:"
LABEL = "paas.stack"
"""Of an image that is made of a stack: the stack's own name."""
SOURCE = "paas.stack.source"
"""Of a pulled one: its name in the registry, as it was given."""
RELEASE = "paas.stack.release"
"""Of a pulled one: the distribution, such as `ubuntu 24.04`."""

NEEDED = ("/bin/sh", "/bin/bash", "/usr/sbin/useradd", "/var/lib/dpkg/status", "/etc/os-release")
"""What buildpacks and what runs them use. Heroku's images have more."""


class NotAStack(PaasError):
    """The image is none that buildpack apps can be built in or run on."""


@dataclass(frozen=True)
class Source:
    """The names that a registry has for what apps run on and for what they are built in."""

    run: str
    build: str


class PulledStacks:
    """Pulls stacks, and knows those that were."""

    def __init__(
        self, images: Images, layers: Layers, registry: Registry, workspace: Workspace
    ) -> None:
        self._images = images
        self._layers = layers
        self._registry = registry
        self._workspace = workspace

    def list(self) -> dict[str, Source]:
        """Where each came from, by its name."""
        found = {}
        for ref, image in self._images.refs().items():
            name = ref.removeprefix(RUN)
            labels = self._images.get(image).config.labels if name != ref else {}
            if SOURCE in labels:
                build = self._images.resolve(f"{BUILD}{name}")
                above = build.config.labels.get(SOURCE) if build else None
                found[name] = Source(labels[SOURCE], above or labels[SOURCE])
        return found

    def pull(self, name: str, source: Source, report: Report) -> bool:
        """Make images of a registry the stack `name`; says whether they are others than before.

        They take its names both at once. Raises `NotAStack` and what `Registry.fetch` does.
        """
        # While it is held, no layer is collected that no name stands for yet.
        with self._layers.lease():
            run = self._named(f"{RUN}{name}", source.run, report)
            build = self._named(f"{BUILD}{name}", source.build, report)
            before = self._images.resolve(f"{RUN}{name}")
            self._refuse_other_release(source.run, run, before, f"{name} is")
            self._refuse_other_release(source.build, build, run, f"{source.run} is")
            wanted = {f"{RUN}{name}": run.id, f"{BUILD}{name}": build.id}
            changed = wanted.items() - self._images.refs().items()
            self._images.tag_all(wanted)
        return bool(changed)

    def forget(self, name: str) -> None:
        """Take the names of a stack away; what apps were built on it stays with them."""
        self._images.untag(f"{RUN}{name}", f"{BUILD}{name}")

    def _named(self, ref: str, source: str, report: Report) -> Image:
        """An image of a registry as it is built on: what comes first is root's to do."""
        pulled = self._registry.fetch(source, report)
        release = self._release(source, pulled)
        labels = {**pulled.config.labels, LABEL: ref, SOURCE: source, RELEASE: release}
        return self._images.add(replace(pulled.config, user="", labels=labels), pulled.layers)

    def _release(self, source: str, image: Image) -> str:
        """The distribution that an image is of. Raises `NotAStack`."""
        with self._workspace.tree(image.layers) as root:
            missing = [path for path in NEEDED if not inside.is_file(root, path)]
            release = release_of(root)
        if missing:
            raise NotAStack(
                f"{source} cannot be a stack: it has no {', '.join(missing)}",
                resolution="A stack is an image of Debian or Ubuntu, such as heroku/heroku:24.",
            )
        return release

    @staticmethod
    def _refuse_other_release(source: str, image: Image, other: Image | None, what: str) -> None:
        found = image.config.labels[RELEASE]
        wanted = other.config.labels.get(RELEASE) if other else None
        if wanted is not None and found != wanted:
            # What was compiled for one links to libraries that another does not have.
            raise NotAStack(
                f"{source} is {found}, and {what} {wanted}",
                resolution="Pull another release under a name of its own: stack:pull NAME IMAGE",
            )


def release_of(root: Path) -> str:
    """`ubuntu 24.04`: ID and VERSION_ID of os-release(5)."""
    lines = inside.read(root, "/etc/os-release").splitlines()
    parts = (line.partition("=") for line in lines)
    fields = {name: value.strip("\"'") for name, _, value in parts}
    return f"{fields.get('ID', '')} {fields.get('VERSION_ID', '')}".strip()
