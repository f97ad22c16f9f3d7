"""Builds a fixture app by its buildpacks, and runs its `verify` script beside it.

As repo2docker tests its own: the app is a folder with a script, which runs in the built
image, where the app's web process already listens. The engine is that of the ring's server,
whose stack and dependency layers all of them share; nothing is pushed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from paas.buildpack.catalogue import foreign
from paas.buildpack.selection import Selection
from paas.buildpack.source import GitSource
from paas.deploy.build import select
from paas.deploy.buildpacks import AppTree, BuildpackBuilder, Built
from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.spec import ContainerSpec, command_of
from paas.model.appjson import AppJson
from paas.model.builder import BUILDPACK, BuilderOptions
from paas.model.env import secrets as secrets_of
from paas.model.report import Lines, Report, Silent
from tests.push.apps import APPS

LIBRARY = APPS.parent / "verify.sh"
SECONDS = 250.0
COMMIT = "0" * 40

RUN = """
({web}) &
app=$!
trap 'kill $app' EXIT
for _ in $(seq 2000); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$PORT"; echo >&3) 2>/dev/null; then break; fi
    kill -0 $app || exit 1
    sleep 0.05
done
{library}
{verify}
"""


class Tree(DirectoryContext):
    """A fixture as a pushed tree, without the script that is about it."""

    commit = COMMIT

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Silent())


@dataclass
class Output:
    """What a build and a verify script said."""

    data: bytes = b""

    @property
    def report(self) -> Report:
        return Lines(self.add)

    def add(self, data: bytes) -> None:
        self.data += data

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")


def build(engine: Engine, name: str, output: Output, before: Image | None = None) -> Built:
    """Build the fixture `name`, for an app that is called so."""
    tree = Tree(APPS / name)
    selection = select(tree, AppJson(), BuilderOptions(selected=BUILDPACK))
    app = AppTree(tree, {}, COMMIT, f"fixture-{name}", before=before)
    # As a deploy does: the server's supervisor collects what nobody holds.
    with engine.layers.lease():
        return BuildpackBuilder(engine, no_fetch).build(app, selection, output.report)


def build_by(engine: Engine, pack: DirectoryContext, name: str) -> Built:
    """Build the fixture `name` by a buildpack that stands for one of a URL."""
    return build_with(engine, [pack], Tree(APPS / name), Output())


def build_with(
    engine: Engine,
    packs: Sequence[DirectoryContext],
    tree: Tree,
    output: Output,
    config: Mapping[str, str] | None = None,
    cache: str = "foreign",
) -> Built:
    """Build a tree by buildpacks that stand for those of URLs, in their order."""
    known = {f"https://example.org/pack{n or ''}": pack for n, pack in enumerate(packs)}
    selection = Selection((tuple(foreign(GitSource(url)) for url in known),))
    app = AppTree(tree, secrets_of(config or {}), COMMIT, cache)
    with engine.layers.lease():
        builder = BuildpackBuilder(engine, lambda source, _: known[source.url])
        return builder.build(app, selection, output.report)


def no_fetch(*_: object) -> NoReturn:
    """Fixtures name no foreign buildpack."""
    raise AssertionError("a fixture fetched something")


def verify(engine: Engine, name: str, built: Built, output: Output) -> None:
    """Start its web process and run its script, in one container."""
    # Sourced by the scripts where a person runs them; here it is in front of them.
    script = (APPS / name / "verify").read_text().replace(". verify.sh\n", "")
    text = RUN.format(web=built.processes["web"], library=LIBRARY.read_text(), verify=script)
    code = engine.foreground.run_reported(_spec(built.image, text), output.add, SECONDS)
    assert code == 0, output.text[-3000:]


def _spec(image: Image, script: str) -> ContainerSpec:
    return ContainerSpec(
        id=f"verify-{secrets.token_hex(6)}",
        image=image.id,
        owner="verify",
        args=command_of(image.config, args=("bash", "-c", script)),
        env={"PORT": "5000"},
    )
