"""The instructions of a Dockerfile as values.

Named and shaped by the Dockerfile reference. Nothing is expanded yet: `${…}` stands in
the fields as written, since its values depend on what comes before.
"""

from __future__ import annotations

from dataclasses import dataclass

from paas.engine.build.errors import Location
from paas.engine.config import Healthcheck as HealthcheckConfig


@dataclass(frozen=True)
class Instruction:
    """One instruction; `text` is the logical line it was read from."""

    at: Location
    text: str

    @property
    def keyword(self) -> str:
        return self.text.split(maxsplit=1)[0].upper()

    @property
    def summary(self) -> str:
        """One line for people: the instruction without the documents below it."""
        line = self.text.split("\n", 1)[0]
        return " ".join([self.keyword, *line.split()[1:]])


@dataclass(frozen=True)
class From(Instruction):
    """Begins a stage."""

    base: str
    name: str | None
    platform: str | None


@dataclass(frozen=True)
class Arg(Instruction):
    """Declares build arguments; None is "no default"."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Env(Instruction):
    """Variables of the image and of the steps that follow."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Label(Instruction):
    """Metadata of the image."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """An inline file of COPY, ADD or RUN."""

    name: str
    content: str
    expand: bool = True


@dataclass(frozen=True)
class RunMount:
    """One `--mount` of RUN: `text` as written, `origin` its `from`."""

    text: str
    origin: str | None = None


@dataclass(frozen=True)
class Run(Instruction):
    """A command: one line for the shell, or (not `shell`) an argv.

    `script` is a document with a `#!` line that is executed by itself.
    """

    args: tuple[str, ...]
    shell: bool
    script: Document | None = None
    network: bool = True
    mounts: tuple[RunMount, ...] = ()


@dataclass(frozen=True)
class Copy(Instruction):
    """COPY, and what ADD has in common with it. `origin` is `--from`."""

    sources: tuple[str, ...]
    documents: tuple[Document, ...]
    target: str
    origin: str | None
    chown: str
    chmod: str
    exclude: tuple[str, ...]
    parents: bool = False
    link: bool = False
    unpack: bool | None = None
    """Archives are extracted; None is for ADD to decide: local ones are."""
    fetches: bool = False
    """Sources may be URLs and git repositories (ADD)."""
    checksum: str = ""
    keep_git: bool = False


def origins(step: Instruction) -> tuple[str, ...]:
    """The stages and images, by name or number, that a step takes files from."""
    if isinstance(step, Copy):
        return () if step.origin is None else (step.origin,)
    if isinstance(step, Run):
        return tuple(mount.origin for mount in step.mounts if mount.origin is not None)
    return ()


@dataclass(frozen=True)
class Workdir(Instruction):
    """The working directory from here on, made if it is not there."""

    path: str


@dataclass(frozen=True)
class User(Instruction):
    """Who runs the steps that follow, and the image."""

    user: str


@dataclass(frozen=True)
class Volume(Instruction):
    """Paths whose contents are not part of the container."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Expose(Instruction):
    """Ports the image listens on, unexpanded: a variable may hold several."""

    ports: tuple[str, ...]


@dataclass(frozen=True)
class StopSignal(Instruction):
    """The signal that asks the image to stop."""

    signal: str


@dataclass(frozen=True)
class Shell(Instruction):
    """What the shell forms that follow are run with."""

    args: tuple[str, ...]


@dataclass(frozen=True)
class Healthcheck(Instruction):
    """How to ask the image whether it is well."""

    config: HealthcheckConfig


@dataclass(frozen=True)
class Entrypoint(Instruction):
    """The program of the image: an argv, or a line for the shell."""

    args: tuple[str, ...]
    shell: bool


@dataclass(frozen=True)
class Cmd(Instruction):
    """Arguments of the entrypoint, or a program when there is none."""

    args: tuple[str, ...]
    shell: bool


@dataclass(frozen=True)
class Onbuild(Instruction):
    """Kept for the image built on this one; `trigger` is the instruction's own text."""

    trigger: str


@dataclass(frozen=True)
class Maintainer(Instruction):
    """The author of the image (deprecated; a label is its successor)."""

    name: str
