"""Making an image of a container: what it wrote becomes a layer on those of its image."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from paas.engine import diff
from paas.engine.build import instructions as ins
from paas.engine.build.configure import configure, with_command
from paas.engine.build.parse import parse
from paas.engine.build.read import read
from paas.engine.build.stubs import is_beneath
from paas.engine.bundle import BOUND
from paas.engine.bundler import Bundler
from paas.engine.config import History, ImageConfig
from paas.engine.containers import Containers, WrongState
from paas.engine.diff import Change
from paas.engine.images import Image, Images
from paas.engine.layers import LayerId, Layers
from paas.engine.reference import Reference
from paas.engine.rootfs import Rootfs
from paas.errors import PaasError
from paas.host import files, processes
from paas.host.clock import Clock

MADE_BY_RUNTIME = ("/dev", "/proc", "/sys", *BOUND)
"""Places to mount on, which the runtime makes in the root."""

ALLOWED = (
    ins.Cmd, ins.Entrypoint, ins.Env, ins.Expose, ins.Label, ins.Onbuild, ins.User, ins.Volume,
    ins.Workdir, ins.StopSignal, ins.Healthcheck, ins.Shell,
)  # fmt: skip


class InvalidChange(PaasError):
    """A `--change` that is no instruction about configuration."""


@dataclass(frozen=True)
class Commits:
    """Looks at, and keeps, what containers of one engine wrote."""

    bundler: Bundler
    containers: Containers
    images: Images
    layers: Layers
    rootfs: Rootfs
    clock: Clock

    def diff(self, container_id: str) -> list[Change]:
        """What it changed in its root, mounts aside. Raises `ContainerNotFound`."""
        return diff.changes(
            self._written(container_id), self._below(container_id), self._hidden(container_id)
        )

    def commit(
        self,
        container_id: str,
        ref: Reference | None = None,
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of it, that has a name from its beginning on if one is given; a running
        one stands still meanwhile, unless not `pause`.

        `changes` are Dockerfile instructions about the configuration. Volumes and other
        mounts are no part of it. Raises `ContainerNotFound`, `InvalidChange`,
        `DockerfileError`, `OSError` (ENOSPC).
        """
        base = self.images.get(self.containers.get(container_id).image)
        config = changed(base.config, changes)
        with self.layers.lease():
            with self.containers.still(container_id) if pause else nullcontext():
                layer = self._layer(container_id, base)
            created = datetime.fromtimestamp(self.clock.now(), UTC).isoformat()
            entry = History(f"commit {container_id[:12]}", created, message or None)
            config = replace(
                config,
                author=author or config.author,
                created=created,
                history=(*config.history, entry),
            )
            image = self.images.add(config, [*base.layers, layer])
            if ref is not None:
                self.images.tag(ref, image.id)
        self.bundler.events.add("commit", container_id, image=image.id)
        return image

    def _layer(self, container_id: str, base: Image) -> LayerId:
        """A copy: the container goes on writing to its own."""
        upper = self.layers.new_upper(base.layers[-1] if base.layers else None)
        try:
            processes.run(
                ["cp", "--archive", "--reflink=auto", "--", f"{self._written(container_id)}/.",
                 str(upper)],
            )  # fmt: skip
            self._without_places(container_id, upper)
            return self.layers.commit(upper)
        except BaseException:
            self.layers.abandon(upper)
            raise

    def _without_places(self, container_id: str, upper: Path) -> None:
        """Its processes may have moved what a place is in, and left a link that leads out."""
        below = diff.Below(self._below(container_id))
        for place in self._hidden(container_id):
            path = posixpath.normpath(place).strip("/")
            if below.status(place) is None and is_beneath(upper, path):
                files.remove_tree(upper / path)

    def _written(self, container_id: str) -> Path:
        self.containers.get(container_id)
        upper = self.rootfs.written(container_id)
        if not upper.is_dir():
            raise WrongState(f"What {container_id} writes becomes a layer already: it is a build's")
        return upper

    def _below(self, container_id: str) -> list[Path]:
        image = self.images.get(self.containers.get(container_id).image)
        return [self.layers.path(layer) for layer in self.layers.stack(image.layers)]

    def _hidden(self, container_id: str) -> list[str]:
        """Where something is mounted in it, and what the runtime makes for that."""
        mounts = self.bundler.bundles.of(container_id).config().get("mounts", ())
        return sorted({*MADE_BY_RUNTIME, *(mount["destination"] for mount in mounts)})


def changed(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """The configuration after Dockerfile instructions. Raises `InvalidChange`."""
    parsed = parse("\n".join(changes).encode(), "--change") if changes else None
    for node in parsed.nodes if parsed else ():
        step = read(node, parsed.escape if parsed else "\\")
        if not isinstance(step, ALLOWED):
            raise InvalidChange(
                f"{node.keyword} changes more than the configuration",
                resolution="Use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR…",
            )
        if isinstance(step, ins.Cmd | ins.Entrypoint):
            config = with_command(config, step, cmd_is_own=True)
        else:
            config = configure(config, step, lambda text: text)
    return config
