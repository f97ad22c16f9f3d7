"""COPY and ADD: what they copy, to where, and what of that is in the key."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from paas.engine.build import instructions as ins
from paas.engine.build.archive import Extracted, extract
from paas.engine.build.cache import step_key
from paas.engine.build.context import Context
from paas.engine.build.copy import Order, copy, owner_of, target_path
from paas.engine.build.errors import BuildError, StepFailed
from paas.engine.build.fetching import Fetching
from paas.engine.build.maker import Maker
from paas.engine.build.modes import parse_mode
from paas.engine.build.remote import is_remote
from paas.engine.build.runstep import Origin
from paas.engine.build.select import Selected, content_key, select
from paas.engine.build.sources import ContextSource, Item, Source, TreeSource
from paas.engine.build.state import State
from paas.engine.build.variables import Variables
from paas.engine.layers import LayerId
from paas.errors import PaasError
from paas.host.disk import DiskFull

Selections = list[tuple[Source, list[Selected]]]

_NUMBERS = re.compile(r"[0-9]+(:[0-9]+)?")


class CopyStep:
    """The COPYs and ADDs of one stage."""

    def __init__(
        self, maker: Maker, context: Context, variables: Variables, origin: Origin
    ) -> None:
        self._maker = maker
        self._context = context
        self._variables = variables
        self._origin = origin

    def after(self, state: State, step: ins.Copy) -> State:
        """The state after a COPY or ADD."""
        order = self._order(state, step)
        env = state.config.env
        patterns = [self._variables.expand(step, source, env) for source in step.sources]
        if step.link:
            order = self._independent(state, step, order)
        if step.origin is not None:
            return self._copy_from(state, step, order, patterns)
        if step.fetches and any(is_remote(pattern) for pattern in patterns):
            return self._fetched(state, step, order, patterns)
        source = ContextSource(self._context)
        return self._made(state, step, order, source, patterns)[0]

    def _fetched(
        self, state: State, step: ins.Copy, order: Order, patterns: Sequence[str]
    ) -> State:
        """By what the sources are now: files by their digests, repositories by commits."""
        fetching = Fetching(self._maker.tools.remotes, step, order.target.endswith("/"))
        local = ContextSource(self._context)
        content: list[str] = []
        for pattern in patterns:
            if is_remote(pattern):
                with self._maker.rules.waiting():
                    content.append(fetching.identify(pattern))
            else:
                content.append(content_key(local, self._selected(local, step, pattern)))
        below = () if step.link else state.layers
        key = step_key("add-remote", below, link=step.link, **order.inputs, content=content)

        def make(upper: Path) -> None:
            workspace = self._maker.tools.workspace
            with ExitStack() as stack:
                selections: Selections = []
                for pattern, identity in zip(patterns, content, strict=True):
                    if is_remote(pattern):
                        scratch = stack.enter_context(workspace.scratch())
                        with self._maker.rules.waiting():
                            selections.append(fetching.fetch(pattern, identity, scratch))
                    else:
                        selections.append((local, self._selected(local, step, pattern)))
                self._write(below, step, order, selections, upper)

        return self._maker.made(state, step, key, make, below=below)

    def _copy_from(
        self, state: State, step: ins.Copy, order: Order, patterns: Sequence[str]
    ) -> State:
        origin = self._origin(step, step.origin or "")
        inputs = {**order.inputs, "patterns": patterns, "exclude": step.exclude}
        below = () if step.link else state.layers
        by_origin = step_key("copy-from", below, origin=origin.layers, link=step.link, **inputs)

        def make() -> tuple[State, str]:
            with self._maker.tools.workspace.tree(origin.layers) as root:
                return self._made(state, step, order, TreeSource(root), patterns)

        return self._maker.made_from(state, step, by_origin, make)

    def _made(
        self, state: State, step: ins.Copy, order: Order, source: Source, patterns: Sequence[str]
    ) -> tuple[State, str]:
        """The state after it, and its key by the contents of what is copied."""
        selections: Selections = [
            (source, self._selected(source, step, pattern)) for pattern in patterns
        ]
        below = () if step.link else state.layers
        # An independent layer is another even on nothing: it does not look below.
        key = step_key(
            "link" if step.link else "copy",
            below,
            **order.inputs,
            content=[content_key(source, one) for _, one in selections],
        )

        def make(upper: Path) -> None:
            self._write(below, step, order, selections, upper)

        return self._maker.made(state, step, key, make, below=below), key

    def _independent(self, state: State, step: ins.Copy, order: Order) -> Order:
        """With numbers for the owner: a layer that stands alone has no /etc/passwd."""
        if not order.owner or _NUMBERS.fullmatch(order.owner):
            return order
        with self._maker.tools.workspace.tree(state.layers) as root:
            owner = owner_of(order.owner, root, step.at, "--chown")
        return order if owner is None else replace(order, owner=f"{owner[0]}:{owner[1]}")

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
            unpack=step.fetches if step.unpack is None else step.unpack,
        )
        if many and not order.target.endswith("/"):
            raise step.at.error(
                f"When using {step.keyword} with more than one source file, the destination"
                " must be a directory and end with a /"
            )
        return order

    def _selected(self, source: Source, step: ins.Copy, pattern: str) -> list[Selected]:
        try:
            selected = select(source, pattern, exclude=step.exclude, parents=step.parents)
        except BuildError as error:
            raise step.at.failure(
                f"{step.keyword} {pattern}: {error.brief}", resolution=error.resolution
            ) from None
        if selected is None:
            raise self._missing(step, pattern)
        if not selected:
            self._maker.progress.report.warn(f"{step.at}: {pattern} matches nothing")
        return selected

    def _missing(self, step: ins.Copy, pattern: str) -> StepFailed:
        where = f"{step.origin}" if step.origin else "the build context"
        hint = "" if step.origin else "Is it committed, and not named in .dockerignore?"
        return step.at.failure(
            f'{step.keyword}: "{posixpath.normpath("/" + pattern.lstrip("/"))}" is not in {where}',
            resolution=hint,
        )

    def _write(
        self,
        below: Sequence[LayerId],
        step: ins.Copy,
        order: Order,
        selections: Selections,
        upper: Path,
    ) -> None:
        workspace = self._maker.tools.workspace
        disk = workspace.disk
        with ExitStack() as stack:

            def unpacked(origin: Source, item: Item) -> Extracted | None:
                return extract(origin, item, stack.enter_context(workspace.scratch()), disk)

            root = stack.enter_context(workspace.mounted(below, upper))
            try:
                copy(order, root, selections, step.at, unpacked, disk)
            except StepFailed:
                raise
            except DiskFull as error:
                # It is not the step that is to be changed: the kind and what to do stay.
                error.brief = f"{step.at}: {step.keyword}: {error.brief}"
                raise
            except PaasError as error:
                raise step.at.failure(
                    f"{step.keyword}: {error.brief}", error.details, error.resolution
                ) from None
