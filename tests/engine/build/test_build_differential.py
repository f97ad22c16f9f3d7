"""The same image as the field's own builders: every case of the corpus, by each of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.bench.dockerd import PROGRAM, dockerd
from tests.engine.build.buildah import Buildah, newer
from tests.engine.build.corpus.case import Case
from tests.engine.build.corpus.every import CORPUS
from tests.engine.build.docker import DockerBuild
from tests.engine.build.product import Product, differences, ours
from tests.engine.build.rig import Rig, base_archive
from tests.turns import in_turn

ASKED = "PAAS_TEST_DOCKER" in os.environ


class Reference(Protocol):
    """Another builder; `name` is with its version. One that is `newer` than this release is
    there for the cases that are in its words alone. It builds `lanes` at a time."""

    name: str
    newer: bool
    lanes: int

    def build(self, case: Case, context: Path) -> Product:
        """Build a case, whose files are in `context`."""


class Ahead:
    """A builder that builds one case after another, ahead of the tests that ask for them."""

    def __init__(self, reference: Reference, cases: Sequence[Case], folder: Path) -> None:
        self.name = reference.name
        self._reference = reference
        self._folder = folder
        self._pool = ThreadPoolExecutor(reference.lanes)
        self._built: dict[str, Future[Product]] = {
            case.name: self._pool.submit(self._build, case)
            for case in cases
            if not reference.newer or reference.name.startswith(case.by)
        }

    def product(self, case: Case) -> Product | None:
        """What it makes of a case; None of one that is not for it."""
        return self._built[case.name].result() if case.name in self._built else None

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _build(self, case: Case) -> Product:
        context = self._folder / case.name / "context"
        case.write(context)
        return self._reference.build(case, context)


@pytest.fixture(scope="module")
def references(rig: Rig, request: pytest.FixtureRequest) -> Iterator[list[Ahead]]:
    """buildah, of this release and of newer ones; and docker where it is installed or asked for
    (`./test.sh --docker`), as it takes half a minute for what others do in a second.
    """
    wanted = {item.name for item in request.session.items}
    cases = [case for case in CORPUS if f"{CASE}[{case.name}]" in wanted]
    with ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="paas-test-builders-", dir="/var/tmp"))
        cleanup.callback(shutil.rmtree, folder)
        base = base_archive(rig, folder / "base.tar")
        found: list[Reference] = [Buildah(folder / "buildah", base)]
        assert newer() or "CI" not in os.environ, "./test.sh unpacks one that knows more"
        found += [Buildah(folder / name, base, inside) for name, inside in newer().items()]
        if ASKED or shutil.which("dockerd"):
            assert PROGRAM, "./test.sh unpacks docker where the distribution has it"
            (folder / "daemon").mkdir()
            docker = cleanup.enter_context(dockerd(folder / "daemon"))
            found.append(DockerBuild(folder / "docker", base, docker))
        ahead = [Ahead(each, cases, folder / f"contexts-{each.name}") for each in found]
        for each in ahead:
            cleanup.callback(each.stop)
        yield ahead


@pytest.mark.parametrize("case", in_turn(CORPUS, 3), ids=lambda case: case.name)
def test_the_image_is_the_same(
    rig: Rig, references: list[Ahead], case: Case, tmp_path: Path
) -> None:
    case.write(tmp_path / "context")
    own = ours(rig, case, tmp_path / "context")
    for reference in references:
        product = reference.product(case)
        if product is not None:
            found = differences(own, product, reference.name)
            assert found.keys() == case.expected(reference.name).keys(), "\n".join(found.values())


CASE = test_the_image_is_the_same.__name__
