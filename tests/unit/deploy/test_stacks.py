"""The stacks and the apps on them, by the store and an engine without images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from paas.deploy.attempt import Attempts
from paas.deploy.build import builder_options
from paas.deploy.housekeeping import Housekeeping
from paas.deploy.rebase import Compilation, compilation_of, key_of
from paas.deploy.stacks import LABEL, Stacks
from paas.engine.build.context import DirectoryContext
from paas.engine.chroot import StepFailed
from paas.engine.config import ImageConfig
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.stack import NoSuchStack
from paas.model.layout import Layout
from paas.model.report import Report, Silent
from paas.store.store import Store


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    layout = Layout.at(tmp_path)
    store, engine = Store(layout), Engine(layout)
    attempts = Attempts(layout, store, engine.clock)
    return Stacks(engine, store, Housekeeping(layout, store, engine, attempts))


def test_a_stack_that_is_none_is_refused_with_those_there_are(stacks: Stacks) -> None:
    app = stacks.store.apps.create("app")
    with pytest.raises(NoSuchStack, match="no stack 'heroku-24'") as caught:
        stacks.choose(app, "heroku-24")
    assert "debian-13, debian-12; pull others" in caught.value.resolution
    with pytest.raises(NoSuchStack):
        stacks.update("../x", Silent())
    assert builder_options(stacks.store.settings, app.id).stack == "debian-13"


def test_apps_are_on_the_one_they_chose(stacks: Stacks) -> None:
    for name in ("one", "two"):
        stacks.store.apps.create(name)
    stacks.choose(stacks.store.apps.get("two"), "debian-12")
    found = {each.name: each for each in stacks.list()}
    assert found["debian-13"].apps == ("one",)
    assert found["debian-12"].apps == ("two",)
    assert found["debian-13"].made == ""
    assert found["debian-12"].behind == ()


def test_an_update_that_fails_says_that_the_stack_stays(
    stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of its images are made at once, or none."""
    asked = []

    def rebuild(names: Sequence[str], _: Report) -> list[Image]:
        asked.append(names)
        raise StepFailed("mmdebstrap failed: exit code 25")

    monkeypatch.setattr(stacks.engine.stack, "rebuild", rebuild)
    with pytest.raises(StepFailed, match=r"^mmdebstrap failed: exit code 25$"):
        stacks.update("debian-13", Silent())
    for name in ("stack", "stack-build"):
        ref = f"paas/{name}:debian-13"
        config = ImageConfig(labels={LABEL: ref}, created="2026-01-01T00:00:00Z")
        stacks.engine.images.tag(ref, stacks.engine.images.add(config, []).id)
    with pytest.raises(StepFailed, match=r"^debian-13 stays as it is: mmdebstrap failed"):
        stacks.update(None, Silent())
    assert asked == [
        ["paas/stack:debian-13"],
        ["paas/stack:debian-13", "paas/stack-build:debian-13"],
    ]


def test_what_an_image_was_compiled_by_is_on_its_labels() -> None:
    made = Compilation("key", 2, 5, {"web": "run"}, {"A": "b"})
    assert compilation_of(Image("sha256:x", ImageConfig(labels=made.labels), ())) == made
    assert compilation_of(Image("sha256:x", ImageConfig(), ())) is None


def test_another_buildpack_or_place_is_another_key(tmp_path: Path) -> None:
    (tmp_path / "compile").write_text("1")
    before = key_of("debian-13", {"a": DirectoryContext(tmp_path, Silent())})
    assert key_of("debian-13", {"a": DirectoryContext(tmp_path, Silent())}) == before
    assert key_of("debian-12", {"a": DirectoryContext(tmp_path, Silent())}) != before
    (tmp_path / "compile").write_text("2")
    assert key_of("debian-13", {"a": DirectoryContext(tmp_path, Silent())}) != before
