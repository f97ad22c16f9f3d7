"""Buildpacks in the engine: from a pushed tree to the layer that is the app.

The tree is laid into an upper directory on the build image and its dependencies, and all
programs of the buildpacks run there in one container. Only what is below /app becomes a
layer, which then lies on the smaller run image: an upper directory's entries mean the same
on any image that has the same dependency layers under them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.buildpack import recipe
from paas.buildpack.catalogue import Buildpack
from paas.buildpack.outcome import FAILED, BuildpackFailed, Failure, parse_failure
from paas.buildpack.release import Defaults, parse_release
from paas.engine.build.builder import DEADLINE_SECONDS
from paas.engine.build.context import Context
from paas.engine.build.laying import lay
from paas.engine.build.rules import BuildTimedOut, Rules
from paas.engine.build.run import Command, Result, outcome
from paas.engine.build.target import Attributes, Target
from paas.engine.build.workspace import Workspace
from paas.engine.cachevolumes import CacheVolumes
from paas.engine.call import RanTooLong
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.engine.userns import BUILD_OWNER
from paas.engine.volumes import Volumes
from paas.host import syscalls
from paas.model.env import Secret, fits_environment
from paas.model.limits import BUILD_LIMITS, Limits
from paas.model.procfile import parse_procfile
from paas.model.report import Report

MAX_RESULT = 1024 * 1024
_PLAIN = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_LINKED = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


class NotDetected(BuildpackFailed):
    """A buildpack does not recognise the app."""


@dataclass(frozen=True)
class Job:
    """What is compiled: a tree, by buildpacks, with the config and the cache of an app."""

    context: Context
    packs: tuple[Buildpack, ...]
    config: Mapping[str, Secret]
    commit: str
    cache: str
    """The name of the volume that is CACHE_DIR."""
    limits: Limits = BUILD_LIMITS
    deadline_s: float = DEADLINE_SECONDS


@dataclass(frozen=True)
class Compiled:
    """The layer of the app, None when it is empty, and what its buildpacks suggest.

    `procfile` is what the Procfile says that they left: some choose one of several, or move
    a part of the tree to its top.
    """

    layer: LayerId | None
    defaults: Defaults
    procfile: Mapping[str, str]


class Compiler:
    """Runs `bin/detect`, `bin/compile` and `bin/release`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._caches = CacheVolumes(
            Volumes(engine.layout, engine.rootfs),
            Workspace(engine.layout, engine.layers, engine.rootfs),
        )

    def run(self, job: Job, build: Image, report: Report) -> Compiled:
        """Compile on the image `build`, which holds the buildpacks and the dependencies.

        Raises `NotDetected`, `BuildpackFailed`, `BuildTimedOut`, `InvalidRelease` and
        `InvalidProcfile`.
        """
        tools = self._engine.builder.tools
        defaults = Defaults()
        procfile: Mapping[str, str] = {}
        rules = self._rules(job)

        def make(upper: Path) -> None:
            nonlocal defaults, procfile
            with tools.workspace.scratch() as work:
                self._engine.layers.imitate_root(work, build.layers[-1])
                self._lay(job.context, build, work)
                result = self._compile(job, rules, build, work, report)
                failure = _failure(work, job.packs)
                if failure is not None or result.ended != 0:
                    raise _error(failure, result, rules)
                defaults = _defaults(work, job.packs)
                left = _file(work, f"{recipe.APP.strip('/')}/Procfile", _LINKED)
                procfile = parse_procfile(left or "")
                (work / recipe.APP.strip("/")).rename(upper / recipe.APP.strip("/"))

        return Compiled(tools.workspace.layer(build.layers, make), defaults, procfile)

    def forget_cache(self, cache: str) -> int:
        """Remove the CACHE_DIR of an app; the bytes of it."""
        freed = self._caches.size(cache)
        self._caches.remove(cache)
        return freed

    def _lay(self, context: Context, build: Image, upper: Path) -> None:
        """Write the tree below /app, as the user that compiles it and that runs it."""
        with self._engine.builder.tools.workspace.mounted(build.layers, upper) as root:
            lay(context, Target(root, Attributes((recipe.UID, recipe.UID))), recipe.APP)

    def _rules(self, job: Job) -> Rules:
        clock = self._engine.clock
        end = clock.monotonic() + job.deadline_s
        return Rules(
            owner=BUILD_OWNER,
            limits=job.limits,
            use_cache=True,
            deadline_s=job.deadline_s,
            seconds_left=lambda: max(end - clock.monotonic(), 1.0),
        )

    def _compile(self, job: Job, rules: Rules, build: Image, upper: Path, report: Report) -> Result:
        user_range = self._engine.ranges.range_for(BUILD_OWNER)
        caches = self._caches.opened(job.cache, recipe.UID, user_range, recipe.CACHE, report)
        with caches as cache:
            command = Command(
                args=(recipe.DRIVER, "build", *(pack.name for pack in job.packs)),
                env={"SOURCE_VERSION": job.commit},
                hidden_env=_hidden(job.config),
                mounts=(cache.mount,),
            )
            try:
                result = self._engine.builder.tools.runner.attempt(
                    command, build.layers, build.config, upper, rules, report
                )
            except RanTooLong:
                raise BuildTimedOut(job.deadline_s, "buildpacks") from None
            # A buildpack that fails may have fetched what the next build wants all the same; one
            # that is killed may have stopped in the middle of a file.
            cache.kept = not (result.ended.oom_killed or result.disk_full)
        return result


def _hidden(config: Mapping[str, Secret]) -> dict[str, Secret]:
    """Config vars as the driver takes them; as for an app, without those too large to hand on."""
    named = {f"{recipe.CONFIG_PREFIX}{key}": value for key, value in config.items()}
    return {key: value for key, value in named.items() if fits_environment(key, value)}


def _failure(work: Path, packs: Sequence[Buildpack]) -> Failure | None:
    """What the driver said, with somebody else's buildpack called as the app calls it."""
    failure = parse_failure(_result(work, FAILED) or "")
    names = {pack.name: str(pack.source) for pack in packs if pack.source is not None}
    return failure and replace(failure, pack=names.get(failure.pack, failure.pack))


def _error(failure: Failure | None, result: Result, rules: Rules) -> BuildpackFailed:
    ended = result.ended
    if failure is None or result.disk_full or ended.oom_killed or ended.forks_refused:
        how = outcome(result, rules)
        return BuildpackFailed(f"The build by buildpacks was ended: {how}", result.lines)
    error = failure.error(result.lines)
    if failure.not_detected:
        return NotDetected(error.brief, error.details, error.resolution)
    return error


def _defaults(work: Path, packs: Sequence[Buildpack]) -> Defaults:
    """The config vars and add-ons of all, the process types of the last, as on Heroku."""
    config: dict[str, str] = {}
    addons: list[str] = []
    last = Defaults()
    for pack in packs:
        text = _result(work, f"release.{pack.name}") or ""
        last = parse_release(text, str(pack.source or pack.name))
        config |= last.config
        addons += last.addons
    return Defaults(last.processes, config, tuple(dict.fromkeys(addons)))


def _result(work: Path, name: str) -> str | None:
    """A file the driver wrote."""
    return _file(work, f"{recipe.RESULTS}/{name}", _PLAIN)


def _file(work: Path, path: str, resolve: int) -> str | None:
    """A file where what was run could have put anything in its place; None for anything else."""
    root = os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = syscalls.openat2(root, path, os.O_RDONLY | os.O_NONBLOCK, resolve=resolve)
    except OSError:
        return None
    finally:
        os.close(root)
    with open(fd, "rb") as file:  # noqa: PTH123  a descriptor
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return file.read(MAX_RESULT).decode("utf-8", "replace")
