"""The image that the programs of a plugin run in, its files in /plugin.

Made when it is enabled, since making one may run what the plugin says: in the container of a
build, as the steps of any Dockerfile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paas.engine.build.context import DirectoryContext
from paas.engine.build.withfile import WithFile
from paas.engine.engine import Engine
from paas.model.report import Report, Silent
from paas.plugin.catalog import DOCKERFILE
from paas.plugin.declaration import Declaration
from paas.plugin.foreign import FILES

WRITTEN = ".paas.Dockerfile"
PREFIX = "paas/plugin-"


class PluginImages:
    """Makes and forgets images of plugins."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def make(self, folder: Path, declaration: Declaration, report: Report) -> str:
        """The id of the image of a version; empty for a plugin that runs no programs.

        Raises what building and pulling do.
        """
        if not declaration.has_programs:
            return ""
        report.step(f"Making the image of the plugin {declaration.name}")
        files = DirectoryContext(folder, Silent())
        own = declaration.service is None and (folder / DOCKERFILE).is_file()
        text = dockerfile(declaration)
        image = self._engine.builder.build(
            files if own else WithFile(files, WRITTEN, text.encode()),
            dockerfile=DOCKERFILE if own else WRITTEN,
            tag=f"{PREFIX}{declaration.name}:{folder.name[:12]}",
            report=report,
        )
        return image.id

    def forget_others(self, kept: Mapping[str, str]) -> None:
        """Take their names from the images of plugins that are not in use: `kept` by name."""
        for ref, image in self._engine.images.refs().items():
            if str(ref).startswith(PREFIX) and image not in kept.values():
                self._engine.images.untag(ref)


def dockerfile(declaration: Declaration) -> str:
    """That of a plugin which has none of its own."""
    lines = [f"FROM {declaration.image}"]
    if declaration.packages:
        packages = " ".join(declaration.packages)
        lines.append(
            "RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends "
            f"{packages} >/dev/null"
        )
    return "\n".join([*lines, f"COPY . {FILES}/", ""])
