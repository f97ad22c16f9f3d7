"""The same image as the field's own builder: every case of the corpus, by both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.build.buildah import Buildah, Product, ours
from tests.engine.build.corpus import CORPUS, Case
from tests.engine.build.rig import Rig


@pytest.fixture(scope="module")
def buildah(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    buildah = Buildah(tmp_path_factory.mktemp("buildah") / "storage")
    buildah.take_base(rig)
    return buildah


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_the_image_is_the_same(rig: Rig, buildah: Buildah, case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / "context")
    own = ours(rig, tmp_path / "context", case.args, case.target)
    theirs = buildah.build(tmp_path / "context", case.args, case.target)
    found = differences(own, theirs)
    assert found.keys() == case.differs.keys(), "\n".join(found.values())


LEFT_BY_BUILDAH = frozenset(
    {"dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "run", "run/secrets", "sys"}
)
"""Places to mount on, made for a RUN and left in the image; ours takes them out again."""


def differences(own: Product, theirs: Product) -> dict[str, str]:
    """Paths and fields that are not equal, with what each builder has."""
    found = {}
    for path in sorted(own.tree.keys() | theirs.tree.keys()):
        left, right = own.tree.get(path), theirs.tree.get(path)
        if left != right and not (left is None and path in LEFT_BY_BUILDAH):
            found[path] = f"{path}: ours {left}\n{' ' * len(path)}  theirs {right}"
    for name, value in own.config.items():
        if value != theirs.config[name]:
            found[name] = f"{name}: ours {value!r} theirs {theirs.config[name]!r}"
    return found
