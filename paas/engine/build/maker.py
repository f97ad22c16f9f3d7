"""Making what a step makes, unless the cache has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.cache import Cache, Made
from paas.engine.build.instructions import Instruction
from paas.engine.build.mounts import StepMounts
from paas.engine.build.progress import Progress
from paas.engine.build.remote import Remotes
from paas.engine.build.rules import Rules
from paas.engine.build.run import Runner
from paas.engine.build.state import State
from paas.engine.build.workspace import Workspace
from paas.engine.layers import LayerId

Make = Callable[[Path], None]
"""Writes into the upper directory of a new layer."""


@dataclass(frozen=True)
class Tools:
    """The parts of the engine that steps are made with."""

    cache: Cache
    workspace: Workspace
    runner: Runner
    mounts: StepMounts
    remotes: Remotes


class Maker:
    """Makes the layers of one stage."""

    def __init__(self, tools: Tools, rules: Rules, progress: Progress) -> None:
        self.tools = tools
        self.rules = rules
        self.progress = progress

    def made(
        self,
        state: State,
        step: Instruction,
        key: str,
        make: Make,
        *,
        below: Sequence[LayerId] | None = None,
    ) -> State:
        """The state with the layer of that key: found, or made and kept.

        `below` are the layers that `make` writes on, the state's own unless given.
        """
        known = self.find(key)
        if known is not None:
            return self.cached(state, step, known)
        cache = self.tools.cache
        with cache.making(key, self.rules.take):
            # Looked at again under the lock: another build may have made it meanwhile.
            known = self.find(key)
            if known is not None:
                return self.cached(state, step, known)
            self.progress.done()
            self.rules.seconds_left()
            under = state.layers if below is None else below
            made = Made(self.tools.workspace.layer(under, make), cache.now())
            cache.keep(key, step.summary, made)
        return _with(state, step, made)

    def made_from(
        self,
        state: State,
        step: Instruction,
        origin_key: str,
        make: Callable[[], tuple[State, str]],
    ) -> State:
        """By what it takes files from, which costs nothing to say; then by the very files.

        A stage that was made again may well hold the same files: `make` looks at them, and
        gives the state after the step and the key that it has by them.
        """
        known = self.find(origin_key)
        if known is not None:
            return self.cached(state, step, known)
        after, key = make()
        made = self.tools.cache.find(key)
        if made is not None:
            self.tools.cache.keep(origin_key, step.summary, made)
        return after

    def find(self, key: str) -> Made | None:
        """What the cache has, if it may be asked."""
        return self.tools.cache.find(key) if self.rules.use_cache else None

    def cached(self, state: State, step: Instruction, made: Made) -> State:
        """The state after a step that needs no work."""
        self.progress.done(cached=True)
        return _with(state, step, made)


def _with(state: State, step: Instruction, made: Made) -> State:
    after = state.add(made.layer, made.created_at)
    return after.remember(step, layer=made.layer is not None)
