"""From a context to an image: read, plan, build the stages that are needed, tag."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from paas.engine.build import instructions as ins
from paas.engine.build.context import Context
from paas.engine.build.dockerignore import filtered
from paas.engine.build.errors import ContextError, DockerfileError
from paas.engine.build.lanes import Baton, Lanes
from paas.engine.build.maker import Maker, Tools
from paas.engine.build.parse import parse_trigger
from paas.engine.build.progress import Count, Progress, Woven
from paas.engine.build.read import read
from paas.engine.build.rules import BuildTimedOut, Offer, Rules
from paas.engine.build.sources import ContextSource, resolve
from paas.engine.build.stage import StageWalk
from paas.engine.build.stages import Base, Plan, Stage, plan, read_dockerfile
from paas.engine.build.state import State
from paas.engine.build.variables import PREDEFINED, Variables
from paas.engine.images import Image, Images
from paas.engine.layers import Layers
from paas.engine.userns import BUILD_OWNER
from paas.errors import PaasError
from paas.host.clock import Clock, SystemClock
from paas.model.limits import BUILD_LIMITS, Limits
from paas.model.report import Report

DEADLINE_SECONDS = 1800.0

Pull = Callable[[str, Report], Image]
"""Gets an image that is not here: from a registry, or by making the stack."""


class Builder:
    """Builds images with the parts of one engine."""

    def __init__(
        self,
        images: Images,
        layers: Layers,
        tools: Tools,
        pull: Pull,
        clock: Clock | None = None,
        end_thread: Callable[[], None] = lambda: None,
    ) -> None:
        """`end_thread` closes what a thread that built a stage has open."""
        self.end_thread = end_thread
        self._images = images
        self._layers = layers
        self.tools = tools
        self._pull = pull
        self._clock = clock or SystemClock()

    def build(  # noqa: PLR0913  the options of a build
        self,
        context: Context,
        *,
        report: Report,
        dockerfile: str = "Dockerfile",
        build_args: Mapping[str, str] | None = None,
        target: str | None = None,
        owner: str = BUILD_OWNER,
        tag: str | None = None,
        limits: Limits = BUILD_LIMITS,
        deadline_s: float = DEADLINE_SECONDS,
        use_cache: bool = True,
        offer: Offer | None = None,
    ) -> Image:
        """Build `dockerfile` (a path in the context) and return the image.

        `owner` names the user id range that RUN steps have; `deadline_s` is seconds for
        everything; `offer` is what they may mount. Raises `DockerfileError` before anything
        runs for what is wrong in the file, else `ContextError`, `StepFailed`,
        `BuildTimedOut` and what getting a base image raises, and `DiskFull`.
        """
        args = dict(build_args or {})
        end = self._clock.monotonic() + deadline_s
        chosen = plan(read_dockerfile(_read(context, dockerfile), dockerfile), args, target)
        rules = Rules(
            owner,
            limits,
            use_cache,
            deadline_s,
            lambda: self._seconds_left(end, deadline_s),
            offer or Offer(),
        )
        self._layers.disk.admit("a build")
        # While it is held, no layer is collected that no image names yet.
        with self._layers.lease():
            build = _Build(self, chosen, filtered(context, dockerfile), args, rules, report)
            state = build.state_of(chosen.stages[-1])
            image = self._images.add(state.final_config(), state.layers)
            if tag is not None and self._images.resolve(tag) != image:
                self._images.tag(tag, image.id)
        build.warn_of_unused_args()
        return image

    def recover(self) -> bool:
        """Free what killed builds left; False while a build is running: another time then."""
        lock = self._layers.sweep_lock()
        if not lock.try_acquire():
            return False
        try:
            self.tools.workspace.recover()
            self.tools.runner.recover()
            self.tools.mounts.caches.recover()
            self._layers.sweep()
        finally:
            lock.release()
        return True

    def image(self, ref: str, report: Report) -> Image:
        """A base image; pulled, or made, if it is not here."""
        return self._images.resolve(ref) or self._pull(ref, report)

    def _seconds_left(self, end: float, whole: float) -> float:
        left = end - self._clock.monotonic()
        if left <= 0:
            raise BuildTimedOut(whole)
        return left


class _Build:
    """One build: its stages, each built once, when it is first asked for."""

    def __init__(
        self,
        builder: Builder,
        chosen: Plan,
        context: Context,
        args: Mapping[str, str],
        rules: Rules,
        report: Report,
    ) -> None:
        self._builder = builder
        self._plan = chosen
        self._context = context
        self._args = args
        self._baton = Baton()
        self._rules = replace(rules, waiting=self._baton.given_up)
        self._report = report
        self._count = Count(chosen.steps)
        self._output = threading.Lock()
        self._states: dict[int, State] = {}
        self._stage_args: dict[int, Mapping[str, str]] = {}
        self._declared: set[str] = set()

    def state_of(self, last: Stage) -> State:
        """What the stage `last` made, after those it needs; independent ones at once."""
        stages = {stage.index: stage for stage in self._plan.stages}
        needs = {index: self._plan.needs(stage) for index, stage in stages.items()}
        lanes = Lanes(self._baton, self._builder.tools.runner.interrupt)
        with self._baton:
            lanes.run(
                needs,
                lambda index: self._build(stages[index], self._report),
                lambda index: self._build_beside(stages[index]),
            )
        return self._states[last.index]

    def _build_beside(self, stage: Stage) -> None:
        name = stage.begin.name or f"stage-{stage.index}"
        woven = Woven(self._report, self._output, name)
        try:
            self._build(stage, woven)
        finally:
            woven.finish()
            self._builder.end_thread()

    def warn_of_unused_args(self) -> None:
        """Say which build arguments no ARG takes: they are often misspelled."""
        dockerfile = self._plan.dockerfile
        steps = [*dockerfile.args, *(step for stage in dockerfile.stages for step in stage.steps)]
        declared = {name for step in steps if isinstance(step, ins.Arg) for name, _ in step.pairs}
        unused = sorted(set(self._args) - declared - self._declared - PREDEFINED)
        if unused:
            self._report.warn(f"Build arguments that no ARG takes: {', '.join(unused)}")

    def _build(self, stage: Stage, report: Report) -> None:
        progress = Progress(report, self._count)
        progress.begin(stage.begin)
        progress.done()
        base = self._base_state(self._plan.bases[stage.index], stage.begin).begin()
        triggers = self._triggers(base, stage.begin)
        progress.add(len(triggers))
        escape = self._plan.dockerfile.escape
        below = self._plan.bases[stage.index].stage
        inherited = None if below is None else self._stage_args[below]
        variables = Variables(self._args, self._plan.global_args, escape, inherited)
        walk = StageWalk(
            Maker(self._builder.tools, self._rules, progress),
            self._context,
            variables,
            lambda step, name: self._origin(stage, step, name),
        )
        state = replace(base, config=replace(base.config, onbuild=()))
        self._states[stage.index] = walk.walk(state, [*triggers, *stage.steps])
        self._stage_args[stage.index] = variables.args

    def _base_state(self, base: Base, step: ins.Instruction) -> State:
        if base.stage is not None:
            return self._states[base.stage]
        if base.image is None:
            return State.on_nothing()
        try:
            return State.on_image(self._builder.image(base.image, self._report))
        except PaasError as error:
            # Said with the line; the kind and what to do stay.
            error.brief = f"{step.at}: {error.brief}"
            raise

    def _origin(self, stage: Stage, step: ins.Instruction, name: str) -> State:
        base = self._plan.origin(stage, step, name)
        if base.stage is not None and base.stage not in self._states:
            raise step.at.error("a trigger of a base image copies from a stage that is not built")
        return self._base_state(base, step)

    def _triggers(self, base: State, begin: ins.From) -> Sequence[ins.Instruction]:
        """The ONBUILD instructions of the base image, in this stage's name."""
        found = [read(parse_trigger(trigger, "\\", begin.at)) for trigger in base.config.onbuild]
        names = [arg.pairs for arg in found if isinstance(arg, ins.Arg)]
        self._declared |= {name for pairs in names for name, _ in pairs}
        return found


def _read(context: Context, dockerfile: str) -> bytes:
    """The Dockerfile, through a link within the context. Raises `DockerfileError`."""
    path = posixpath.normpath(dockerfile)
    source = ContextSource(context)
    try:
        found = resolve(source, path)
    except ContextError as error:
        raise DockerfileError(f"{dockerfile}: {error.brief}", resolution=error.resolution) from None
    item = None if found is None else source.find(found)
    if found is None or item is None or path.startswith("../"):
        raise DockerfileError(
            f"There is no {dockerfile} in the build context",
            resolution="Commit one, or name another path.",
        )
    if item.is_dir:
        raise DockerfileError(f"{dockerfile} is a directory")
    return context.read(found)
