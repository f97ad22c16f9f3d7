"""The list of an app's buildpacks: what is refused, and where each comes to stand."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.caller import KEY, Paas


@pytest.fixture
def app(paas: Paas) -> str:
    return paas.store.apps.create("app").name


def listed(paas: Paas) -> list[str]:
    found: list[str] = json.loads(paas("buildpacks:list", "app", "--format", "json").out)
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "cobol"), "neither a bundled buildpack nor the URL"),
        (("add", "file:///etc"), "neither a bundled buildpack nor the URL"),
        (("set", "https://example.org/p#-x"), "not a branch"),
        (("add", "python", "--index", "0"), "0 is not in the range"),
        (("remove", "ruby"), "app has no buildpack ruby"),
        (("remove", "--index", "3"), "app has no buildpack 3"),
        (("remove",), "Name a buildpack, or its place"),
        (("remove", "python", "--index", "1"), "Name a buildpack, or its place"),
        (("add", "heroku/python"), "is among the buildpacks already"),
        (("set", "python", "--index", "2"), "is among the buildpacks already"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    paas: Paas, app: str, words: tuple[str, ...], said: str
) -> None:
    paas("buildpacks:add", app, "python", caller=KEY)
    command, *rest = words
    failed = paas(f"buildpacks:{command}", app, *rest, caller=KEY)
    assert failed.code == 1
    assert said in failed.err
    assert listed(paas) == ["python"]


def test_each_stands_where_it_was_put(paas: Paas, app: str) -> None:
    for words in (
        ("add", "python"),
        ("add", "node", "--index", "1"),
        ("add", "https://example.org/pack.git#v1"),
        ("set", "ruby", "--index", "2"),
        ("remove", "--index", "1"),
    ):
        command, *rest = words
        assert paas(f"buildpacks:{command}", app, *rest, caller=KEY).code == 0
    assert listed(paas) == ["ruby", "https://example.org/pack.git#v1"]
    shown = paas("buildpacks:list", app).out
    assert "1. ruby" in shown
    assert "2. https://example.org/pack.git#v1" in shown


def test_set_replaces_the_first_and_clear_all(paas: Paas, app: str) -> None:
    paas("buildpacks:set", app, "python", caller=KEY)
    paas("buildpacks:set", app, "node", caller=KEY)
    assert listed(paas) == ["node"]
    paas("buildpacks:clear", app, caller=KEY)
    assert listed(paas) == []


def test_the_bundled_ones_are_told(paas: Paas) -> None:
    out = paas("buildpacks:bundled", caller=KEY).out
    assert [line.split()[0] for line in out.splitlines()][:3] == ["ruby", "node", "java"]
