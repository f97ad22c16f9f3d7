"""An app without a Dockerfile: buildpacks make its image, step by step.

bases          what is built in and what is run on: made once, shared by all apps
dependencies   layers by the lock files: shared by all apps that have the same
compile        the app itself, at each push: see `paas.deploy.compile`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paas.buildpack import recipe
from paas.buildpack.catalogue import Buildpack
from paas.buildpack.declaration import InvalidBuildpack
from paas.buildpack.outcome import BuildpackFailed
from paas.buildpack.selection import Selection, matching, supported
from paas.buildpack.source import GitSource
from paas.deploy.compile import Compiled, Compiler, Job, NotDetected
from paas.deploy.picked import Gathered, Picked
from paas.deploy.rebase import Compilation, compilation_of, key_of
from paas.engine.build.builder import DEADLINE_SECONDS
from paas.engine.build.context import Context, ContextEntry, DirectoryContext
from paas.engine.build.errors import StepFailed
from paas.engine.build.rules import Offer
from paas.engine.config import History
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.host.content import content
from paas.model.buildpacks import DEFAULT_STACK
from paas.model.env import Secret
from paas.model.limits import BUILD_LIMITS, Limits
from paas.model.report import Report

PLAIN_PATH = re.compile(r"[\w.+@/-]+")
"""Paths that mean themselves in a Dockerfile."""


Fetch = Callable[[GitSource, Report], Context]
"""Gets the files of somebody else's buildpack. Raises `PaasError`."""


@dataclass(frozen=True)
class AppTree:
    """What is built, for whom: `cache` names the volume that is the app's CACHE_DIR."""

    context: Context
    config: Mapping[str, Secret]
    commit: str
    cache: str
    stack: str = DEFAULT_STACK
    limits: Limits = BUILD_LIMITS
    deadline_s: float = DEADLINE_SECONDS
    scope: str = ""
    """What else tells one compilation from another, such as the directory."""
    before: Image | None = None
    """What the same commit with the same config was built to the last time."""


@dataclass(frozen=True)
class Built:
    """The image, and its shell commands by process type: those of the Procfile, and beside
    them what its buildpacks suggest."""

    image: Image
    processes: Mapping[str, str]


def cache_volume(app_id: int) -> str:
    """The volume that is the CACHE_DIR of an app."""
    return f"buildpack-cache-{app_id}"


COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""Compose Specification, "Compose file"."""


def nothing_detected(paths: Collection[str] = ()) -> BuildpackFailed:
    """The error for a tree that nobody recognises, of these paths."""
    compose = next((name for name in COMPOSE if name in paths), None)
    if compose is not None:
        return BuildpackFailed(
            f"{compose} is not run here: an app is one image and the commands of its Procfile",
            [
                "Of its services, those you build: a Dockerfile, and a line of the Procfile each;",
                "databases: addons in app.json, or paas postgres:create, redis:create, …;",
                "volumes: paas storage:create, storage:mount.",
            ],
            "Commit a Dockerfile at the top of the repository, or in a folder that"
            " builder:set build-dir names.",
        )
    return BuildpackFailed(
        "Nothing in the repository says how to build it",
        ["Supported, in this order:", "Dockerfile", *supported()],
        "Commit one of these at the top of the repository, its name spelled exactly so,"
        " or name the buildpacks in .buildpacks.",
    )


class BuildpackBuilder:
    """Builds images by buildpacks."""

    def __init__(self, engine: Engine, fetch: Fetch) -> None:
        self._engine = engine
        self._fetch = fetch
        self._compiler = Compiler(engine)

    def build(self, tree: AppTree, selection: Selection, report: Report) -> Built:
        """Build by the first buildpacks of `selection` that recognise the tree.

        Raises `BuildpackFailed` with what the failing program printed last, and what making
        the stack raises.
        """
        for packs in selection.attempts:
            try:
                return self._build(tree, packs, report)
            except NotDetected:
                if len(selection.attempts) == 1:
                    raise
        raise nothing_detected()

    def _build(self, tree: AppTree, packs: tuple[Buildpack, ...], report: Report) -> Built:
        folders = {pack.name: self._folder(pack, report) for pack in packs}
        key = key_of(f"{tree.stack} {tree.scope}", folders)
        swapped = self._swapped(tree, key, packs, report)
        if swapped is not None:
            return swapped
        build = self._build_base(packs, folders, tree.stack, report)
        kept: list[LayerId] = []
        for pack in packs:
            below = len(build.layers)
            build = self._with_dependencies(tree, build, pack, report)
            if not pack.declaration.build_only:
                kept += build.layers[below:]
        compiled = self._compiler.run(_job(tree, packs), build, report)
        _tell_of_addons(compiled, report)
        run = self._image(recipe.run_base(packs, tree.stack), Bare(), report)
        own = (*kept, *(() if compiled.layer is None else (compiled.layer,)))
        processes = {**compiled.defaults.processes, **compiled.procfile}
        total = len(run.layers) + len(own)
        made = Compilation(key, len(own), total, processes, compiled.defaults.config)
        return Built(self._assemble(run, own, made, packs), processes)

    def _swapped(
        self, tree: AppTree, key: str, packs: Sequence[Buildpack], report: Report
    ) -> Built | None:
        """What was compiled before on a run image that is newer; None if either is not so."""
        made = compilation_of(tree.before) if tree.before is not None else None
        if tree.before is None or made is None or made.key != key:
            return None
        if made.total != len(tree.before.layers):
            # A predeploy script wrote something on top of it.
            return None
        run = self._image(recipe.run_base(packs, tree.stack), Bare(), report)
        below = len(tree.before.layers) - made.own
        if run.layers == tree.before.layers[:below]:
            return None
        report.step("Swapping the run image below what is compiled already")
        made = replace(made, total=len(run.layers) + made.own)
        image = self._assemble(run, tree.before.layers[below:], made, packs)
        return Built(image, made.processes)

    def _build_base(
        self, packs: Sequence[Buildpack], folders: Mapping[str, Context], stack: str, report: Report
    ) -> Image:
        self._engine.stack.ensure(f"paas/stack-build:{stack}", report)
        context = Gathered(folders)
        return self._image(
            recipe.build_base(packs, stack), context, report, list(context.entries())
        )

    def _folder(self, pack: Buildpack, report: Report) -> Context:
        if pack.source is None:
            return DirectoryContext(content("buildpacks") / pack.name, report)
        report.step(f"Fetching {pack.source}")
        found = self._fetch(pack.source, report)
        for program in ("bin/detect", "bin/compile"):
            if program not in found.entries():
                raise InvalidBuildpack(
                    f"{pack.source} is no buildpack: it has no {program}",
                    resolution="It needs the programs of Heroku's buildpack API, executable.",
                )
        return found

    def _with_dependencies(
        self, tree: AppTree, build: Image, pack: Buildpack, report: Report
    ) -> Image:
        """With the layers of what the pack installs before it sees the whole tree.

        Those who share these layers trust nothing but the files they were made of: neither
        a cache that an app could have written to, nor config vars are part of that.
        """
        declared = pack.declaration
        files = matching(tree.context.entries(), declared.dependencies)
        private = any(key.startswith(declared.settings) for key in tree.config)
        if not pack.has_dependencies or not files or private or not _plain(tree.context, files):
            return build
        text = recipe.dependencies(build.id, pack, files)
        try:
            return self._image(text, tree.context, report, files)
        except StepFailed as error:
            raise BuildpackFailed(
                f"The {pack.name} buildpack could not install the dependencies",
                error.details,
                "Mend what its last lines say, commit and push again.",
            ) from None

    def _image(
        self, dockerfile: str, context: Context, report: Report, paths: Sequence[str] = ()
    ) -> Image:
        picked = Picked(context, paths, recipe.DOCKERFILE, dockerfile)
        return self._engine.builder.build(
            picked,
            dockerfile=recipe.DOCKERFILE,
            report=Output(report),
            offer=Offer(scope=recipe.CACHES),
        )

    def _assemble(
        self, run: Image, own: Sequence[LayerId], made: Compilation, packs: Sequence[Buildpack]
    ) -> Image:
        now = datetime.fromtimestamp(int(self._engine.clock.now()), UTC)
        created = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        names = ", ".join(pack.name for pack in packs)
        config = replace(
            run.config,
            env={**run.config.env, **made.config},
            labels={**run.config.labels, **made.labels},
            created=created,
            history=(*run.config.history, History(f"buildpacks: {names}", created, "paas")),
        )
        return self._engine.images.add(config, (*run.layers, *own))


def _job(tree: AppTree, packs: tuple[Buildpack, ...]) -> Job:
    return Job(
        tree.context, packs, tree.config, tree.commit, tree.cache, tree.limits, tree.deadline_s
    )


def _tell_of_addons(compiled: Compiled, report: Report) -> None:
    if compiled.defaults.addons:
        report.detail(f"Add-ons it asks for: {', '.join(compiled.defaults.addons)}")


class Bare:
    """A context without files."""

    mtime = 0

    def entries(self) -> Mapping[str, ContextEntry]:
        """None."""
        return {}

    def read(self, path: str) -> bytes:
        """Raises KeyError."""
        raise KeyError(path)

    def copy_to(self, path: str, descriptor: int) -> None:  # noqa: ARG002  nothing to write
        """Raises KeyError."""
        raise KeyError(path)


class Output:
    """A report of what steps print, without the steps: those are ours, and mostly cached."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def step(self, text: str) -> None:
        """Drop it."""

    def result(self, text: str) -> None:
        """Drop it."""

    def detail(self, text: str) -> None:
        """Drop it."""

    def warn(self, text: str) -> None:
        """Hand it on."""
        self._report.warn(text)

    def output(self, data: bytes) -> None:
        """Hand it on."""
        self._report.output(data)


def _plain(context: Context, paths: Sequence[str]) -> bool:
    """Whether all of them are files of the tree that can be named in a Dockerfile."""
    entries = context.entries()
    return all(
        PLAIN_PATH.fullmatch(path) and entries[path].target is None and entries[path].digest
        for path in paths
    )
