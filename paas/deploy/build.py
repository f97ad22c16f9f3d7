"""From a pushed tree to an image and the commands to run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.buildpack.catalogue import Catalogue
from paas.buildpack.selection import FILE, Selection, detected, named, parse_buildpacks
from paas.deploy.buildpacks import AppTree, BuildpackBuilder, cache_volume, nothing_detected
from paas.deploy.draft import RELEASE, WEB
from paas.deploy.tree import GitContext, PushRefused, read_text
from paas.engine.engine import Engine
from paas.host.content import content
from paas.model.app import App
from paas.model.appjson import AppJson, parse_app_json
from paas.model.env import Secret
from paas.model.procfile import parse_procfile
from paas.model.report import Report

DOCKERFILE = "Dockerfile"
PROCFILE = "Procfile"
APP_JSON = "app.json"


@dataclass(frozen=True)
class Source:
    """The files of a push that say what to run; read before anything is built.

    `buildpacks` build it, unless there are none: then its Dockerfile does.
    """

    context: GitContext
    procfile: Mapping[str, str]
    app_json: AppJson
    buildpacks: Selection


@dataclass(frozen=True)
class Built:
    """An image, and shell commands by process type; None runs what the image says."""

    image: str
    processes: Mapping[str, str | None]


def read_source(context: GitContext) -> Source:
    """Read and check what a push declares.

    Raises `PushRefused` and the parsers' errors, so that a bad Procfile fails before
    the build and not at the first start.
    """
    if not context.entries():
        raise PushRefused(
            "The pushed commit has no files",
            resolution="Commit a Dockerfile and what it needs, then push again.",
        )
    procfile = read_text(context, PROCFILE)
    app_json_text = read_text(context, APP_JSON)
    app_json = parse_app_json(app_json_text) if app_json_text is not None else AppJson()
    return Source(
        context,
        procfile=parse_procfile(procfile) if procfile is not None else {},
        app_json=app_json,
        buildpacks=select(context, app_json),
    )


def select(context: GitContext, app_json: AppJson) -> Selection:
    """What builds the tree: its Dockerfile (then nothing is selected), the buildpacks it
    names, or those that may recognise it.

    Raises `BuildpackFailed` when that is nothing, `NoSuchBuildpack` and `PushRefused`.
    """
    if DOCKERFILE in context.entries():
        return Selection(())
    catalogue = Catalogue(lambda: content("buildpacks"))
    listed = parse_buildpacks(read_text(context, FILE) or "")
    if listed or app_json.buildpacks:
        place = FILE if listed else APP_JSON
        return named(listed or app_json.buildpacks, catalogue, place)
    found = detected(context.entries(), catalogue)
    if not found:
        raise nothing_detected()
    return found


def build(
    engine: Engine, source: Source, app: App, config: Mapping[str, Secret], report: Report
) -> Built:
    """Build the image; raises the builders' errors, which name file and line."""
    if source.buildpacks:
        return _by_buildpacks(engine, source, app, config, report)
    report.step(f"Building {app.name} from its {DOCKERFILE}")
    image = engine.builder.build(source.context, dockerfile=DOCKERFILE, report=report)
    processes: dict[str, str | None] = dict(source.procfile)
    if not set(processes) - {RELEASE}:
        processes[WEB] = None
    return Built(image.id, processes)


def _by_buildpacks(
    engine: Engine, source: Source, app: App, config: Mapping[str, Secret], report: Report
) -> Built:
    report.step(f"Building {app.name} by buildpack")
    tree = AppTree(source.context, config, source.context.commit, cache_volume(app.id))
    built = BuildpackBuilder(engine).build(tree, source.buildpacks, report)
    processes = {**built.processes, **source.procfile}
    if not set(processes) - {RELEASE}:
        raise PushRefused(
            "The buildpack found nothing to run, and there is no Procfile",
            resolution="Commit a Procfile with a line `web: COMMAND` that listens on $PORT.",
        )
    report.detail(f"Process types: {', '.join(sorted(processes))}")
    return Built(built.image.id, processes)
