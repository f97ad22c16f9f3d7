"""From a pushed tree to an image and the commands to run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.deploy.draft import RELEASE, WEB
from paas.deploy.tree import GitContext, PushRefused, read_text
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.model.appjson import AppJson, parse_app_json
from paas.model.procfile import parse_procfile
from paas.model.report import Report

DOCKERFILE = "Dockerfile"
PROCFILE = "Procfile"
APP_JSON = "app.json"


@dataclass(frozen=True)
class Source:
    """The files of a push that say what to run; read before anything is built."""

    context: GitContext
    procfile: Mapping[str, str]
    app_json: AppJson

    @property
    def processes(self) -> dict[str, str | None]:
        """Shell commands by type; `web` without one runs what the image says."""
        found: dict[str, str | None] = dict(self.procfile)
        if not set(found) - {RELEASE}:
            found[WEB] = None
        return found


def read_source(context: GitContext) -> Source:
    """Read and check what a push declares.

    Raises `PushRefused` and the parsers' errors, so that a bad Procfile fails before
    the build and not at the first start.
    """
    entries = context.entries()
    if not entries:
        raise PushRefused(
            "The pushed commit has no files",
            resolution="Commit a Dockerfile and what it needs, then push again.",
        )
    if DOCKERFILE not in entries:
        raise PushRefused(
            "There is no Dockerfile at the top of the repository",
            resolution="Supported today is a Dockerfile, with a Procfile beside it when the app"
            " has several process types; its name is spelled exactly so.",
        )
    procfile = read_text(context, PROCFILE)
    app_json = read_text(context, APP_JSON)
    return Source(
        context,
        procfile=parse_procfile(procfile) if procfile is not None else {},
        app_json=parse_app_json(app_json) if app_json is not None else AppJson(),
    )


def build_image(engine: Engine, source: Source, app_name: str, report: Report) -> Image:
    """Build the image; raises the builder's errors, which name file and line."""
    report.step(f"Building {app_name} from its {DOCKERFILE}")
    return engine.builder.build(source.context, dockerfile=DOCKERFILE, report=report)
