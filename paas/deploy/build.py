"""From a pushed tree to an image and the commands to run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paas.buildpack.catalogue import Catalogue
from paas.buildpack.frontend import FRONT_END, PACKAGE_JSON, is_front_end
from paas.buildpack.selection import FILE, Selection, detected, named, parse_buildpacks
from paas.deploy.buildpacks import AppTree, BuildpackBuilder, cache_volume, nothing_detected
from paas.deploy.draft import RELEASE, WEB
from paas.deploy.fetching import Fetcher
from paas.deploy.plugin_builder import PluginBuilders
from paas.deploy.sshagent import agents
from paas.deploy.sshclient import server_key
from paas.deploy.subtree import SourceTree, Subtree
from paas.deploy.tree import PushRefused, read_text
from paas.engine.build.agents import DEFAULT_ID
from paas.engine.build.context import Context
from paas.engine.build.rules import Offer
from paas.engine.build.withfile import WithFile
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.host.commandgroups import physical_memory
from paas.host.content import content
from paas.model.app import App
from paas.model.appjson import AppJson, parse_app_json
from paas.model.builder import (
    BUILD_ARGS,
    BUILD_CONFIG,
    BUILD_DIR,
    BUILDPACK,
    DOCKERFILE,
    DOCKERFILE_PATH,
    SELECTED,
    SSH_KEY,
    BuilderOptions,
)
from paas.model.buildpacks import BUILDPACKS, GIT_HOSTS, STACK
from paas.model.checksfile import parse_checks
from paas.model.env import Secret
from paas.model.health import Healthcheck
from paas.model.limits import BUILD_LIMITS
from paas.model.procfile import parse_procfile
from paas.model.report import Report
from paas.model.settings import BUILD_MEMORY, BUILD_SECONDS
from paas.store.settings import Settings

PROCFILE = "Procfile"
APP_JSON = "app.json"
WRITTEN = ".paas.Dockerfile"
"""The Dockerfile that a plugin wrote, in the context of the build."""
CHECKS = "CHECKS"


@dataclass(frozen=True)
class Source:
    """The files of a push that say what to run; read before anything is built.

    `buildpacks` build it, unless there are none: then its Dockerfile does. `builder` is
    what was set about it.
    """

    context: SourceTree
    procfile: Mapping[str, str]
    app_json: AppJson
    buildpacks: Selection
    builder: BuilderOptions = field(default_factory=BuilderOptions)
    checks: tuple[Healthcheck, ...] = ()
    """Those of the CHECKS file."""
    plugin: str = ""
    """The plugin that writes the Dockerfile, if one does."""

    @property
    def built_by(self) -> str:
        """What builds it, in a word."""
        return self.plugin or (BUILDPACK if self.buildpacks else DOCKERFILE)


@dataclass(frozen=True)
class Built:
    """An image, and shell commands by process type; None runs what the image says."""

    image: str
    processes: Mapping[str, str | None]


def build_memory(value: int, physical: int) -> int:
    """Bytes that a build may have: what was set, or else no more than half of what there is, so
    that one that needs more is ended, and not the databases beside it.
    """
    return min(value, physical // 2) if value == BUILD_MEMORY.default else value


def builder_options(settings: Settings, app_id: int) -> BuilderOptions:
    """What was set about the builds of an app."""
    return BuilderOptions(
        selected=settings.value(SELECTED, app_id),
        directory=settings.value(BUILD_DIR, app_id),
        dockerfile=settings.value(DOCKERFILE_PATH, app_id),
        args=settings.value(BUILD_ARGS, app_id),
        config=settings.value(BUILD_CONFIG, app_id),
        ssh_key=settings.value(SSH_KEY, app_id),
        seconds=settings.value(BUILD_SECONDS, app_id),
        memory_bytes=build_memory(settings.value(BUILD_MEMORY, app_id), physical_memory()),
        buildpacks=settings.value(BUILDPACKS, app_id),
        stack=settings.value(STACK, app_id),
        git_hosts=settings.value(GIT_HOSTS),
    )


def cache_scope(app_id: int) -> str:
    """Whose the cache mounts of an app's builds are."""
    return f"app-{app_id}"


def read_source(
    context: SourceTree, builder: BuilderOptions, plugins: PluginBuilders | None = None
) -> Source:
    """Read and check what a push declares.

    Raises `PushRefused` and the parsers' errors, so that a bad Procfile fails before
    the build and not at the first start.
    """
    if not context.entries():
        raise PushRefused(
            "The pushed commit has no files",
            resolution="Commit a Dockerfile and what it needs, then push again.",
        )
    if builder.directory:
        context = Subtree(context, builder.directory)
    procfile = read_text(context, PROCFILE)
    app_json_text = read_text(context, APP_JSON)
    checks = read_text(context, CHECKS)
    app_json = parse_app_json(app_json_text) if app_json_text is not None else AppJson()
    plugin = by_plugin(context, app_json, builder, plugins) if plugins else ""
    return Source(
        context,
        procfile=parse_procfile(procfile) if procfile is not None else {},
        app_json=app_json,
        buildpacks=Selection(()) if plugin else select(context, app_json, builder),
        builder=builder,
        checks=parse_checks(checks) if checks is not None else (),
        plugin=plugin,
    )


def by_plugin(
    context: SourceTree, app_json: AppJson, builder: BuilderOptions, plugins: PluginBuilders
) -> str:
    """The plugin that builds the tree: one that was selected, or one that recognises it.

    What the repository says itself goes before what a plugin recognises. Raises
    `NoSuchBuilder`.
    """
    if builder.selected:
        return plugins.selected(builder.selected)
    named_itself = FILE in context.entries() or builder.dockerfile in context.entries()
    if builder.buildpacks or app_json.buildpacks or named_itself:
        return ""
    return plugins.detected(context)


def select(context: SourceTree, app_json: AppJson, builder: BuilderOptions) -> Selection:
    """What builds the tree: its Dockerfile (then nothing is selected) or buildpacks.

    The first of these that there is, of those that `builder:set selected` leaves:

        1. what `buildpacks:set` named
        2. the buildpacks in `.buildpacks`
        3. the Dockerfile
        4. the buildpacks in app.json
        5. node and static, for a front-end that is built and has nothing to start
        6. the first bundled buildpack that recognises the tree

    Raises `BuildpackFailed` when that is nothing, `InvalidBuildpackName`, `PushRefused`.
    """
    if builder.selected == DOCKERFILE:
        return Selection(())
    catalogue = Catalogue(lambda: content("buildpacks"))
    if builder.buildpacks:
        return named(builder.buildpacks, catalogue, "buildpacks:set")
    if listed := parse_buildpacks(read_text(context, FILE) or ""):
        return named(listed, catalogue, FILE)
    if builder.dockerfile in context.entries() and builder.selected != BUILDPACK:
        return Selection(())
    if app_json.buildpacks:
        return named(app_json.buildpacks, catalogue, APP_JSON)
    if is_front_end(read_text(context, PACKAGE_JSON)):
        found = named(FRONT_END, catalogue, PACKAGE_JSON)
    else:
        found = detected(context.entries(), catalogue)
    if not found:
        raise nothing_detected(context.entries().keys())
    return found


def build(
    engine: Engine,
    plugins: PluginBuilders,
    source: Source,
    app: App,
    config: Mapping[str, Secret],
    report: Report,
    before: str | None = None,
) -> Built:
    """Build the image; raises the builders' errors, which name file and line.

    `before` is the image of the same commit with the same config, if it was built already.
    """
    if source.buildpacks:
        return _by_buildpacks(engine, source, app, config, report, before)
    if source.plugin:
        report.step(f"Building {app.name} by the plugin {source.plugin}")
        text, known = plugins.dockerfile(source.plugin, app, source.context, config, report)
        context = WithFile(source.context, WRITTEN, text.encode())
        image = _by_dockerfile(engine, context, WRITTEN, source.builder, app, config, report)
        return _of(image, {**known, **source.procfile})
    report.step(f"Building {app.name} from its {source.builder.dockerfile}")
    path = source.builder.dockerfile
    image = _by_dockerfile(engine, source.context, path, source.builder, app, config, report)
    return _of(image, source.procfile)


def _of(image: Image, processes: Mapping[str, str]) -> Built:
    """An image that may say itself what to run."""
    found: dict[str, str | None] = dict(processes)
    if not set(found) - {RELEASE}:
        found[WEB] = None
    return Built(image.id, found)


def _by_dockerfile(
    engine: Engine,
    context: Context,
    dockerfile: str,
    builder: BuilderOptions,
    app: App,
    config: Mapping[str, Secret],
    report: Report,
) -> Image:
    keys = {DEFAULT_ID: server_key(engine.layout)} if builder.ssh_key else {}
    with agents(engine, keys) as found:
        return engine.builder.build(
            context,
            dockerfile=dockerfile,
            build_args=builder.args,
            report=report,
            limits=replace(BUILD_LIMITS, memory_bytes=builder.memory_bytes),
            deadline_s=float(builder.seconds),
            offer=Offer(
                secrets={name: value for name, value in config.items() if builder.wants(name)},
                agents=found,
                scope=cache_scope(app.id),
            ),
        )


def _by_buildpacks(
    engine: Engine,
    source: Source,
    app: App,
    config: Mapping[str, Secret],
    report: Report,
    before: str | None,
) -> Built:
    report.step(f"Building {app.name} by buildpack")
    builder = source.builder
    tree = AppTree(
        source.context,
        config,
        source.context.commit,
        cache_volume(app.id),
        builder.stack,
        replace(BUILD_LIMITS, memory_bytes=builder.memory_bytes),
        float(builder.seconds),
        builder.directory,
        engine.images.resolve(before) if before else None,
    )
    fetcher = Fetcher(engine.layout, builder.git_hosts)
    built = BuildpackBuilder(engine, fetcher.buildpack).build(tree, source.buildpacks, report)
    processes = built.processes
    if not set(processes) - {RELEASE}:
        raise PushRefused(
            "The buildpack found nothing to run, and there is no Procfile",
            resolution="Commit a Procfile with a line `web: COMMAND` that listens on $PORT.",
        )
    report.detail(f"Process types: {', '.join(sorted(processes))}")
    return Built(built.image.id, processes)
