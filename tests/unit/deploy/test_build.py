"""What builds a tree: the documented order, and what is set before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.buildpack.outcome import BuildpackFailed
from paas.deploy.build import build_memory, select
from paas.engine.build.context import DirectoryContext
from paas.model.appjson import parse_app_json
from paas.model.builder import BUILDPACK, DOCKERFILE, BuilderOptions
from paas.model.report import Silent

APP_JSON = '{"buildpacks": [{"url": "heroku/ruby"}]}'
VITE = '{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "6"}}'
ORDER = {
    ".buildpacks": "heroku/php\n",
    "Dockerfile": "FROM scratch\n",
    "app.json": APP_JSON,
    "package.json": VITE,
    "index.html": "",
}
"""Files of which each says how to build the tree, the strongest first."""


@pytest.mark.parametrize(
    ("value_mib", "physical_mib", "expected_mib"),
    [
        (2048, 16384, 2048),
        (2048, 4096, 2048),
        (2048, 1024, 512),
        (3000, 1024, 3000),
        (64, 1024, 64),
    ],
)
def test_a_build_has_half_of_a_small_machine_unless_it_was_set(
    value_mib: int, physical_mib: int, expected_mib: int
) -> None:
    mib = 1 << 20
    assert build_memory(value_mib * mib, physical_mib * mib) == expected_mib * mib


class Tree(DirectoryContext):
    """Files as a commit."""

    commit = "0" * 40

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (folder / name).write_text(text)
        super().__init__(folder, Silent())


def selected(folder: Path, files: dict[str, str], **set_: object) -> list[list[str]]:
    """The attempts, by the names of their buildpacks; none is the Dockerfile."""
    app_json = parse_app_json(files.get("app.json", "{}"))
    options = BuilderOptions(**set_)  # type: ignore[arg-type]
    found = select(Tree(folder, files), app_json, options)
    return [[pack.name for pack in packs] for packs in found.attempts]


def test_a_tree_of_nothing_that_is_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildpackFailed, match="Nothing in the repository says how"):
        selected(tmp_path, {"README": ""})


@pytest.mark.parametrize(
    ("first", "packs"),
    [
        (".buildpacks", [["php"]]),
        ("Dockerfile", []),
        ("app.json", [["ruby"]]),
        ("package.json", [["node", "static"]]),
        ("index.html", [["static"]]),
    ],
)
def test_the_strongest_that_there_is_decides(
    tmp_path: Path, first: str, packs: list[list[str]]
) -> None:
    names = list(ORDER)
    files = {name: ORDER[name] for name in names[names.index(first) :]}
    assert selected(tmp_path, files) == packs


def test_what_was_set_goes_before_all_of_them(tmp_path: Path) -> None:
    assert selected(tmp_path, ORDER, buildpacks=("go",)) == [["go"]]
    assert selected(tmp_path, ORDER, buildpacks=("go",), selected=DOCKERFILE) == []


def test_buildpacks_can_be_selected_beside_a_dockerfile(tmp_path: Path) -> None:
    files = {name: text for name, text in ORDER.items() if name != ".buildpacks"}
    assert selected(tmp_path, files, selected=BUILDPACK) == [["ruby"]]
    other = tmp_path / "other"
    other.mkdir()
    assert selected(other, {"go.mod": "", "Aptfile": "", "Dockerfile": ""}) == []


def test_an_aptfile_is_there_for_each_language(tmp_path: Path) -> None:
    assert selected(tmp_path, {"go.mod": "", "Aptfile": ""}) == [["apt", "go"]]
