"""The image of a service: made from the plugin's Dockerfile, or any other by its name."""

from __future__ import annotations

import secrets

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.inside import CommandNotFound
from paas.engine.reference import is_image_id, parse_reference
from paas.engine.spec import ContainerSpec
from paas.errors import PaasError
from paas.model.limits import Limits
from paas.model.report import Report, Silent
from paas.model.service import Service
from paas.plugin.catalog import DOCKERFILE, ServicePlugin
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_runner import owner_of

LOOK_SECONDS = 30.0
LACKING = 'for name; do command -v "$name" > /dev/null || echo "$name"; done'


class NoSuchVersion(PaasError):
    """The plugin's own Dockerfile does not make that version."""


class UnfitImage(PaasError):
    """An image that was named has not all that the plugin's commands run."""


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
            known = self._engine.images.resolve(reference)
            local = is_image_id(reference) or parse_reference(reference).local
            if known is not None and (local or not fresh):
                return known
            return self._engine.registry.pull(reference, report)
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

    def check(self, manifest: ServiceManifest, service: Service) -> None:
        """See to it that an image which was named has what the plugin runs in it.

        Asked of the image itself, in a container that cannot do anything else. Raises
        `UnfitImage`.
        """
        needs = manifest.image.needs
        if not service.reference or not needs:
            return
        spec = ContainerSpec(
            id=secrets.token_hex(16),
            image=service.image,
            owner=owner_of(service.id),
            args=("sh", "-c", LACKING, "sh", *needs),
            limits=Limits(memory_bytes=service.memory),
            network="none",
            read_only=True,
        )
        said = bytearray()
        try:
            ended = self._engine.foreground.run_reported(spec, said.extend, LOOK_SECONDS)
            lacking = said.decode("utf-8", "replace").split() if ended == 0 else ["sh"]
        except CommandNotFound:
            lacking = ["sh"]
        if lacking:
            raise UnfitImage(
                f"The image {service.reference} has no {', '.join(lacking)}",
                [f"{manifest.title} services are made, copied and asked with {', '.join(needs)}."],
                "Name one that has the server and its tools, or none: the plugin makes its own.",
            )


def name_of(reference: str) -> str:
    """An image's name without its version: it tells who made it. Empty for the plugin's own."""
    if not reference or is_image_id(reference):
        return reference
    return parse_reference(reference).name


def version_of(reference: str) -> str:
    """The version that an image's name carries: `16.3` of `registry/postgres:16.3-alpine`."""
    if is_image_id(reference):
        return "latest"
    tag = reference.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return tag.partition("-")[0] or "latest"
