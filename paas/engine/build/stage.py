"""Walking the instructions of a stage: find what each made, or make it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from paas.engine.build import instructions as ins
from paas.engine.build.archive import extract
from paas.engine.build.cache import Cache, Made, step_key
from paas.engine.build.configure import configure, shell_form, with_command
from paas.engine.build.context import Context
from paas.engine.build.copy import Order, copy, owner_of, parse_mode, target_path
from paas.engine.build.errors import BuildError, StepFailed
from paas.engine.build.progress import Progress
from paas.engine.build.rules import Rules
from paas.engine.build.run import SCRIPTS, Command, Runner
from paas.engine.build.select import Selected, content_key, select
from paas.engine.build.sources import ContextSource, Item, Source, TreeSource
from paas.engine.build.state import State
from paas.engine.build.target import Attributes, Target
from paas.engine.build.variables import Variables
from paas.engine.build.workspace import Workspace
from paas.engine.layers import LayerId
from paas.errors import PaasError

Selections = list[list[Selected]]


@dataclass(frozen=True)
class Tools:
    """The parts of the engine that steps are made with."""

    cache: Cache
    workspace: Workspace
    runner: Runner


Origin = Callable[[ins.Copy], State]
"""The stage or image that a COPY --from means."""


class StageWalk:
    """One stage of one build."""

    def __init__(
        self,
        tools: Tools,
        rules: Rules,
        context: Context,
        variables: Variables,
        progress: Progress,
        origin: Origin,
    ) -> None:
        self._tools = tools
        self._rules = rules
        self._context = context
        self._variables = variables
        self._progress = progress
        self._origin = origin

    def walk(self, state: State, steps: Sequence[ins.Instruction]) -> State:
        """The state after `steps`. Raises what the first failing one raises."""
        for step in steps:
            self._progress.begin(step)
            state = self._after(state, step)
        return state

    def _after(self, state: State, step: ins.Instruction) -> State:
        match step:
            case ins.Run():
                return self._run(state, step)
            case ins.Copy():
                return self._copy(state, step)
            case ins.Workdir():
                return self._workdir(self._configured(state, step), step)
            case ins.Cmd() | ins.Entrypoint():
                config = with_command(state.config, step, cmd_is_own=state.cmd_is_own)
                own = state.cmd_is_own or isinstance(step, ins.Cmd)
                state = replace(state, config=config, cmd_is_own=own)
            case ins.Arg():
                self._variables.declare(step, state.config.env)
            case _:
                state = self._configured(state, step)
        self._progress.done()
        return state.remember(step, layer=False)

    def _configured(self, state: State, step: ins.Instruction) -> State:
        env = state.config.env
        config = configure(state.config, step, lambda text: self._variables.expand(step, text, env))
        return replace(state, config=config)

    # -- steps that make files ------------------------------------------------------------

    def _run(self, state: State, step: ins.Run) -> State:
        command = self._command(state.config.env, step, state)
        config = state.config
        key = step_key(
            "run",
            state.layers,
            args=command.args,
            env=dict(command.env),
            script=command.script.content if command.script else None,
            user=config.user,
            workdir=config.workdir,
            network=command.network,
        )

        def make(upper: Path) -> None:
            report = self._progress.report
            self._tools.runner.run(command, step, state.layers, config, upper, self._rules, report)

        return self._made(state, step, key, make)

    def _command(self, env: Mapping[str, str], step: ins.Run, state: State) -> Command:
        args = shell_form(state.config, step.args) if step.shell else step.args
        if step.script is not None:
            args = (f"{SCRIPTS}/{step.script.name}",)
        return Command(
            args,
            self._variables.for_run(env),
            script=step.script,
            network=step.network,
            hidden_env=self._variables.undeclared(),
        )

    def _workdir(self, state: State, step: ins.Workdir) -> State:
        """The directory is made, of the USER, unless it is there."""
        path, user = state.config.workdir, state.config.user
        key = step_key("workdir", state.layers, path=path, user=user)

        def make(upper: Path) -> None:
            with self._tools.workspace.mounted(state.layers, upper) as root:
                if not Target(root).is_directory(path):
                    owner = owner_of(user, root, step.at, "USER") if user else None
                    Target(root, Attributes(owner)).make_directories(path)

        return self._made(state, step, key, make)

    def _copy(self, state: State, step: ins.Copy) -> State:
        order = self._order(state, step)
        env = state.config.env
        patterns = [self._variables.expand(step, source, env) for source in step.sources]
        if step.origin is not None:
            return self._copy_from(state, step, order, patterns)
        source = ContextSource(self._context)
        selections = self._selections(source, step, patterns)
        key = step_key("copy", state.layers, **order.inputs, **_content(source, selections))
        return self._made(
            state,
            step,
            key,
            lambda upper: self._write(state, step, order, source, selections, upper),
        )

    def _copy_from(
        self, state: State, step: ins.Copy, order: Order, patterns: Sequence[str]
    ) -> State:
        """By what it copies from, which costs nothing to say; then by the very contents.

        A stage that was made again may well hold the same files.
        """
        origin = self._origin(step)
        inputs = {**order.inputs, "patterns": patterns, "exclude": step.exclude}
        by_origin = step_key("copy-from", state.layers, origin=origin.layers, **inputs)
        known = self._find(by_origin)
        if known is not None:
            return self._cached(state, step, known)
        with ExitStack() as stack:
            root = stack.enter_context(self._tools.workspace.tree(origin.layers))
            source = TreeSource(root)
            selections = self._selections(source, step, patterns)
            key = step_key("copy", state.layers, **order.inputs, **_content(source, selections))
            after = self._made(
                state,
                step,
                key,
                lambda upper: self._write(state, step, order, source, selections, upper),
            )
        made = self._tools.cache.find(key)
        if made is not None:
            self._tools.cache.keep(by_origin, step.summary, made)
        return after

    def _order(self, state: State, step: ins.Copy) -> Order:
        env = state.config.env

        def expand(text: str) -> str:
            return self._variables.expand(step, text, env)

        target = expand(step.target)
        many = len(step.sources) + len(step.documents) > 1
        order = Order(
            target=target_path(target, state.config.workdir),
            owner=expand(step.chown),
            mode=parse_mode(expand(step.chmod), step.at),
            documents=tuple(
                (
                    document.name,
                    self._variables.expand_document(step, document.content, env).encode()
                    if document.expand
                    else document.content.encode(),
                )
                for document in step.documents
            ),
            parents=step.parents,
            unpack=step.unpack,
        )
        if many and not order.target.endswith("/"):
            raise step.at.error(
                f"When using {step.keyword} with more than one source file, the destination"
                " must be a directory and end with a /"
            )
        return order

    def _selections(self, source: Source, step: ins.Copy, patterns: Sequence[str]) -> Selections:
        found: Selections = []
        for pattern in patterns:
            try:
                selected = select(source, pattern, exclude=step.exclude, parents=step.parents)
            except BuildError as error:
                raise step.at.failure(
                    f"{step.keyword} {pattern}: {error.brief}", resolution=error.resolution
                ) from None
            if selected is None:
                raise self._missing(step, pattern)
            if not selected:
                self._progress.report.warn(f"{step.at}: {pattern} matches nothing")
            found.append(selected)
        return found

    def _missing(self, step: ins.Copy, pattern: str) -> StepFailed:
        where = f"{step.origin}" if step.origin else "the build context"
        hint = "" if step.origin else "Is it committed, and not named in .dockerignore?"
        return step.at.failure(
            f'{step.keyword}: "{posixpath.normpath("/" + pattern.lstrip("/"))}" is not in {where}',
            resolution=hint,
        )

    def _write(
        self,
        state: State,
        step: ins.Copy,
        order: Order,
        source: Source,
        selections: Selections,
        upper: Path,
    ) -> None:
        workspace = self._tools.workspace
        with ExitStack() as stack:

            def unpacked(origin: Source, item: Item) -> Path | None:
                return extract(origin, item, stack.enter_context(workspace.scratch()))

            root = stack.enter_context(workspace.mounted(state.layers, upper))
            try:
                copy(order, root, source, selections, step.at, unpacked)
            except StepFailed:
                raise
            except PaasError as error:
                raise step.at.failure(
                    f"{step.keyword}: {error.brief}", error.details, error.resolution
                ) from None

    # -- the cache ------------------------------------------------------------------------

    def _made(
        self, state: State, step: ins.Instruction, key: str, make: Callable[[Path], None]
    ) -> State:
        """The state with the layer of that key: found, or made and kept."""
        known = self._find(key)
        if known is not None:
            return self._cached(state, step, known)
        cache = self._tools.cache
        with cache.making(key):
            # Looked at again under the lock: another build may have made it meanwhile.
            known = self._find(key)
            if known is not None:
                return self._cached(state, step, known)
            self._progress.done()
            self._rules.seconds_left()
            layer = self._tools.workspace.layer(state.layers, make)
            made = Made(layer, cache.now())
            cache.keep(key, step.summary, made)
        return _with(state, step, made.layer, made.created_at)

    def _find(self, key: str) -> Made | None:
        return self._tools.cache.find(key) if self._rules.use_cache else None

    def _cached(self, state: State, step: ins.Instruction, made: Made) -> State:
        self._progress.done(cached=True)
        return _with(state, step, made.layer, made.created_at)


def _with(state: State, step: ins.Instruction, layer: LayerId | None, created_at: float) -> State:
    return state.add(layer, created_at).remember(step, layer=layer is not None)


def _content(source: Source, selections: Selections) -> dict[str, list[str]]:
    return {"content": [content_key(source, selected) for selected in selections]}
