"""Which buildpacks build an app, by what it names and what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.buildpack.catalogue import Catalogue
from paas.buildpack.declaration import InvalidBuildpack
from paas.buildpack.selection import detected, matching, named, parse_buildpacks, supported
from paas.buildpack.source import BUNDLED, GitSource, InvalidBuildpackName
from paas.host.content import content


@pytest.fixture
def catalogue() -> Catalogue:
    """The bundled ones, as they are shipped."""
    return Catalogue(lambda: content("buildpacks"))


@pytest.mark.parametrize("name", ["cobol", "../python", "heroku/cobol", ""])
def test_a_name_that_is_none_is_refused_with_those_there_are(
    name: str, catalogue: Catalogue
) -> None:
    with pytest.raises(InvalidBuildpackName, match="neither a bundled") as caught:
        named([name], catalogue, ".buildpacks")
    assert "python" in caught.value.resolution


def test_a_url_is_a_foreign_one_of_which_nothing_is_believed(catalogue: Catalogue) -> None:
    [[pack]] = named(["https://example.org/a/pack.git#v1"], catalogue, "app.json").attempts
    assert pack.source == GitSource("https://example.org/a/pack.git", "v1")
    assert pack.name.startswith("pack-")
    assert not pack.has_setup


def test_the_same_twice_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(InvalidBuildpackName, match="python twice"):
        named(["python", "heroku/python"], catalogue, ".buildpacks")


def test_a_buildpack_without_its_programs_is_damage(tmp_path: Path) -> None:
    (tmp_path / "python/bin").mkdir(parents=True)
    with pytest.raises(InvalidBuildpack, match="no bin/detect"):
        Catalogue(lambda: tmp_path).get("python")


def test_all_that_are_named_are_one_attempt_in_their_order(catalogue: Catalogue) -> None:
    selection = named(["heroku/nodejs", "static"], catalogue, ".buildpacks")
    assert [[pack.name for pack in attempt] for attempt in selection.attempts] == [
        ["node", "static"]
    ]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["README.md", "src/requirements.txt"], []),
        (["requirements.txt"], ["python"]),
        (["package.json", "requirements.txt", "index.html"], ["node", "python", "static"]),
        (["Gemfile", "go.mod", "composer.json"], ["ruby", "php", "go"]),
        (["public", "public/index.html"], ["static"]),
    ],
)
def test_each_that_may_recognise_a_tree_is_an_attempt(
    paths: list[str], names: list[str], catalogue: Catalogue
) -> None:
    found = detected(paths, catalogue)
    assert [pack.name for attempt in found.attempts for pack in attempt] == names
    assert bool(found) == bool(names)


def test_a_star_stays_within_its_directory() -> None:
    paths = ["requirements.txt", "requirements-dev.txt", "a/requirements.txt", "requirements/x.txt"]
    assert matching(paths, ["requirements*.txt"]) == paths[:2]
    assert matching(paths, ["requirements/*.txt"]) == paths[3:]


def test_the_file_has_comments_blank_lines_and_windows_ends() -> None:
    assert parse_buildpacks("\ufeff# two\r\nnode\r\n\r\n  static\r\n") == ["node", "static"]


def test_every_bundled_one_is_whole_and_told_of(catalogue: Catalogue) -> None:
    assert [pack.name for pack in catalogue.all()] == list(BUNDLED)
    assert [line.split()[0] for line in supported()] == list(BUNDLED)
