"""Walking the instructions of a stage: find what each made, or make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paas.engine.build import instructions as ins
from paas.engine.build.cache import step_key
from paas.engine.build.configure import configure, with_command
from paas.engine.build.context import Context
from paas.engine.build.copy import owner_of
from paas.engine.build.copystep import CopyStep
from paas.engine.build.maker import Maker
from paas.engine.build.runstep import Origin, RunStep
from paas.engine.build.state import State
from paas.engine.build.target import Attributes, Target
from paas.engine.build.variables import Variables


class StageWalk:
    """One stage of one build."""

    def __init__(
        self, maker: Maker, context: Context, variables: Variables, origin: Origin
    ) -> None:
        self._maker = maker
        self._variables = variables
        self._runs = RunStep(maker, context, variables, origin)
        self._copies = CopyStep(maker, context, variables, origin)

    def walk(self, state: State, steps: Sequence[ins.Instruction]) -> State:
        """The state after `steps`. Raises what the first failing one raises."""
        for step in steps:
            self._maker.progress.begin(step)
            state = self._after(state, step)
        return state

    def _after(self, state: State, step: ins.Instruction) -> State:
        match step:
            case ins.Run():
                return self._runs.after(state, step)
            case ins.Copy():
                return self._copies.after(state, step)
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
        self._maker.progress.done()
        return state.remember(step, layer=False)

    def _configured(self, state: State, step: ins.Instruction) -> State:
        env = state.config.env
        config = configure(state.config, step, lambda text: self._variables.expand(step, text, env))
        return replace(state, config=config)

    def _workdir(self, state: State, step: ins.Workdir) -> State:
        """The directory is made, of the USER, unless it is there."""
        path, user = state.config.workdir, state.config.user
        key = step_key("workdir", state.layers, path=path, user=user)

        def make(upper: Path) -> None:
            with self._maker.tools.workspace.mounted(state.layers, upper) as root:
                if not Target(root).is_directory(path):
                    owner = owner_of(user, root, step.at, "USER") if user else None
                    Target(root, Attributes(owner)).make_directories(path)

        return self._maker.made(state, step, key, make)
