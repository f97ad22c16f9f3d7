"""The same image as the field's own builders: every case of the corpus, by each of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.bench.dockerd import dockerd
from tests.engine.build.buildah import Buildah, newer
from tests.engine.build.corpus.case import Case
from tests.engine.build.corpus.every import CORPUS
from tests.engine.build.docker import DockerBuild
from tests.engine.build.product import Product, differences, ours
from tests.engine.build.rig import Rig, base_archive


class Reference(Protocol):
    """Another builder; `name` is with its version. One that is `newer` than this release is
    there for the cases that are in its words alone."""

    name: str
    newer: bool

    def build(self, case: Case, context: Path) -> Product:
        """Build a case, whose files are in `context`."""


@pytest.fixture(scope="module")
def references(rig: Rig) -> Iterator[list[Reference]]:
    """buildah, of this release and of newer ones; and docker where it is installed, as it takes
    half a minute for what others do in a second."""
    with ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="paas-test-builders-", dir="/var/tmp"))
        cleanup.callback(shutil.rmtree, folder)
        base = base_archive(rig, folder / "base.tar")
        found: list[Reference] = [Buildah(folder / "buildah", base)]
        assert newer() or "CI" not in os.environ, "./test.sh unpacks one that knows more"
        found += [Buildah(folder / name, base, inside) for name, inside in newer().items()]
        if shutil.which("dockerd"):
            (folder / "daemon").mkdir()
            docker = cleanup.enter_context(dockerd(folder / "daemon"))
            found.append(DockerBuild(folder / "docker", base, docker))
        yield found


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_the_image_is_the_same(
    rig: Rig, references: list[Reference], case: Case, tmp_path: Path
) -> None:
    case.write(tmp_path / "context")
    with ThreadPoolExecutor() as pool:
        builds = [
            (each, pool.submit(each.build, case, tmp_path / "context"))
            for each in references
            if not each.newer or each.name.startswith(case.by)
        ]
        own = ours(rig, case, tmp_path / "context")
    for reference, build in builds:
        found = differences(own, build.result(), reference.name)
        assert found.keys() == case.expected(reference.name).keys(), "\n".join(found.values())
