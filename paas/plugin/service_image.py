"""The image of a service: made from the plugin's Dockerfile, or any other by its name."""

from __future__ import annotations

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.errors import PaasError
from paas.model.report import Report, Silent
from paas.plugin.catalog import DOCKERFILE, ServicePlugin


class NoSuchVersion(PaasError):
    """The plugin's own Dockerfile does not make that version."""


class ServiceImages:
    """Finds, makes and pulls images of services."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(
        self,
        plugin: ServicePlugin,
        version: str,
        reference: str,
        report: Report,
        *,
        fresh: bool = False,
    ) -> Image:
        """The image of a version; `fresh` makes or pulls it again, with today's packages.

        Raises `NoSuchVersion` and what building or pulling raises.
        """
        if reference:
            known = None if fresh else self._engine.images.resolve(reference)
            return known or self._engine.registry.pull(reference, report)
        if version not in plugin.manifest.versions or not plugin.has_dockerfile:
            raise NoSuchVersion(
                f"{plugin.manifest.title} {version} does not come with this plugin",
                [f"It comes with: {', '.join(plugin.manifest.versions)}"],
                "Name an image that holds it: --image REGISTRY/NAME:TAG",
            )
        tag = f"paas/{plugin.manifest.name}:{version}"
        if fresh or self._engine.images.resolve(tag) is None:
            report.detail(f"Making the image of {plugin.manifest.title} {version}, once")
        # Its steps, mostly cached, are nobody's concern; what fails says so in its error.
        return self._engine.builder.build(
            DirectoryContext(plugin.folder, Silent()),
            dockerfile=DOCKERFILE,
            build_args={"VERSION": version},
            tag=tag,
            use_cache=not fresh,
            report=Silent(),
        )


def version_of(reference: str) -> str:
    """The version that an image's name carries: `16.3` of `registry/postgres:16.3-alpine`."""
    tag = reference.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return tag.partition("-")[0] or "latest"
