"""A Dockerfile as stages, and which of them a target needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from paas.engine.build import instructions as ins
from paas.engine.build.errors import BadSubstitution, DockerfileError
from paas.engine.build.parse import parse
from paas.engine.build.platforms import check_platform, platform_args
from paas.engine.build.read import read
from paas.engine.build.words import expand

SCRATCH = "scratch"


@dataclass(frozen=True)
class Stage:
    """What stands between one FROM and the next; `index` counts from 0."""

    index: int
    begin: ins.From
    steps: tuple[ins.Instruction, ...] = ()


@dataclass(frozen=True)
class Dockerfile:
    """A whole file: the ARGs before the first FROM, and the stages."""

    file: str
    args: tuple[ins.Arg, ...]
    stages: tuple[Stage, ...]
    escape: str


@dataclass(frozen=True)
class Base:
    """What a stage or a COPY --from stands on: a stage before it, or an image's name.

    Neither is `scratch`.
    """

    stage: int | None = None
    image: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to build for a target: the stages it needs, in order, the target last."""

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    bases: Mapping[int, Base]
    global_args: Mapping[str, str]
    """The values of the ARGs before the first FROM, and of the platform arguments."""

    def origin(self, stage: Stage, step: ins.Instruction, name: str) -> Base:
        """What `from` means in a step of a stage."""
        return _origin(self.dockerfile, stage, step, name)

    def needs(self, stage: Stage) -> set[int]:
        """The stages that one takes files from, by their index."""
        bases = [self.bases[stage.index], *_origins(self.dockerfile, stage)]
        return {base.stage for base in bases if base.stage is not None}

    @property
    def steps(self) -> int:
        """How many instructions will be executed, FROM included."""
        return sum(1 + len(stage.steps) for stage in self.stages)


def read_dockerfile(data: bytes, file: str) -> Dockerfile:
    """Parse and validate. Raises `DockerfileError`."""
    parsed = parse(data, file)
    args: list[ins.Arg] = []
    stages: list[Stage] = []
    for node in parsed.nodes:
        instruction = read(node, parsed.escape)
        if isinstance(instruction, ins.From):
            stages.append(Stage(len(stages), instruction))
        elif stages:
            stages[-1] = replace(stages[-1], steps=(*stages[-1].steps, instruction))
        elif isinstance(instruction, ins.Arg):
            args.append(instruction)
        else:
            raise node.at.error(
                "no build stage in current context",
                resolution="Begin the Dockerfile with FROM; only ARG may stand before it.",
            )
    if not stages:
        raise DockerfileError(f"{file} has no FROM, so there is nothing to build on")
    return Dockerfile(file, tuple(args), tuple(stages), parsed.escape)


def plan(dockerfile: Dockerfile, build_args: Mapping[str, str], target: str | None) -> Plan:
    """Choose the stages that `target` (a name or a number; None is the last) needs.

    Raises `DockerfileError` for an unknown target or stage, an empty base name and a
    platform other than this machine's.
    """
    values = _global_values(dockerfile, build_args)
    wanted = _target(dockerfile, target)
    bases: dict[int, Base] = {}
    pending = [wanted.index]
    while pending:
        index = pending.pop()
        if index in bases:
            continue
        stage = dockerfile.stages[index]
        bases[index] = _base(dockerfile, stage, values)
        taken = (bases[index], *_origins(dockerfile, stage))
        pending += [base.stage for base in taken if base.stage is not None]
    needed = tuple(dockerfile.stages[index] for index in sorted(bases))
    return Plan(dockerfile, needed, bases, values)


def _global_values(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> dict[str, str]:
    values = platform_args()
    for arg in dockerfile.args:
        for name, default in arg.pairs:
            if name in build_args:
                values[name] = build_args[name]
            elif default is not None:
                values[name] = _expanded(arg, default, values, dockerfile.escape)
    return values


def _target(dockerfile: Dockerfile, target: str | None) -> Stage:
    if target is None:
        return dockerfile.stages[-1]
    found = _find(dockerfile, target, len(dockerfile.stages))
    if found is None:
        names = ", ".join(stage.begin.name for stage in dockerfile.stages if stage.begin.name)
        raise DockerfileError(
            f'{dockerfile.file}: target stage "{target}" could not be found',
            resolution=f"Stages with a name: {names or 'none'}.",
        )
    return dockerfile.stages[found]


def _find(dockerfile: Dockerfile, name: str, before: int) -> int | None:
    """The last stage of that name, or of that number, among those `before` an index."""
    for stage in reversed(dockerfile.stages[:before]):
        if stage.begin.name == name.lower():
            return stage.index
    if re.fullmatch(r"[0-9]+", name) and int(name) < before:
        return int(name)
    return None


def _base(dockerfile: Dockerfile, stage: Stage, values: Mapping[str, str]) -> Base:
    begin = stage.begin
    name = _expanded(begin, begin.base, values, dockerfile.escape)
    if not name:
        raise begin.at.error(
            f"base name ({begin.base}) should not be blank",
            resolution="Give the ARG in it a default before the first FROM, or a build argument.",
        )
    if begin.platform:
        platform = _expanded(begin, begin.platform, values, dockerfile.escape)
        check_platform(begin.at, platform)
    named = [s.index for s in dockerfile.stages[: stage.index] if s.begin.name == name.lower()]
    if named:
        return Base(stage=named[-1])
    return Base() if name.lower() == SCRATCH else Base(image=name)


def _origins(dockerfile: Dockerfile, stage: Stage) -> list[Base]:
    return [
        _origin(dockerfile, stage, step, name) for step in stage.steps for name in ins.origins(step)
    ]


def _origin(dockerfile: Dockerfile, stage: Stage, step: ins.Instruction, name: str) -> Base:
    found = _find(dockerfile, name, stage.index)
    if found is not None:
        return Base(stage=found)
    if re.fullmatch(r"[0-9]+", name):
        raise step.at.error(f"invalid from flag value {name}: no such stage before this one")
    if any(later.begin.name == name.lower() for later in dockerfile.stages[stage.index :]):
        raise step.at.error(
            f"invalid from flag value {name}: that stage comes later, or is this one",
            resolution="A stage can only copy from stages above it.",
        )
    return Base() if name.lower() == SCRATCH else Base(image=name)


def _expanded(
    instruction: ins.Instruction, text: str, values: Mapping[str, str], escape: str
) -> str:
    try:
        return expand(text, values, escape)
    except BadSubstitution as error:
        raise instruction.at.error(error.brief) from None
