"""What the commands of building make of their words."""

from __future__ import annotations

import json

import pytest

from paas.deploy.build import builder_options
from tests.unit.cli.caller import KEY, Paas


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("colour", "red"), "is not one of build-arg, build-config"),
        (("selected", "kaniko"), "no builder"),
        (("build-dir", "../other"), "leads out of the repository"),
        (("dockerfile-path", "a/../../b"), "leads out of the repository"),
        (("build-arg", "1A=x"), "cannot name a build argument"),
        (("build-config", "A,B-C"), "cannot name a config var"),
        (("build-memory", "much"), "not an amount of memory"),
        (("build-seconds", "1"), "whole number"),
    ],
)
def test_a_mistake_is_one_sentence(paas: Paas, words: tuple[str, ...], said: str) -> None:
    app = paas.store.apps.create("app")
    failed = paas("builder:set", "app", *words, caller=KEY)
    assert failed.code == 1
    assert said in failed.err
    assert builder_options(paas.store.settings, app.id).args == {}


def test_what_is_set_is_what_a_build_gets_and_the_report_shows(paas: Paas) -> None:
    app = paas.store.apps.create("app")
    for words in (
        ("selected", "dockerfile"),
        ("build-dir", "services/web/"),
        ("dockerfile-path", "docker/Dockerfile.prod"),
        ("build-arg", "A=1"),
        ("build-arg", "TOKEN=s3=cret"),
        ("build-arg", "GONE=1"),
        ("build-arg", "GONE"),
        ("build-config", "KEY, OTHER"),
    ):
        assert paas("builder:set", "app", *words, caller=KEY).code == 0
    options = builder_options(paas.store.settings, app.id)
    assert options.selected == "dockerfile"
    assert (options.directory, options.dockerfile) == ("services/web", "docker/Dockerfile.prod")
    assert options.args == {"A": "1", "TOKEN": "s3=cret"}
    assert options.wants("KEY")
    assert not options.wants("ELSE")
    shown = paas("builder:report", "app", caller=KEY)
    assert "A, TOKEN" in shown.out
    assert "s3=cret" not in shown.out
    fields = json.loads(paas("builder:report", "app", "--format", "json", caller=KEY).out)
    assert fields["app"]["build-arg"] == ["A", "TOKEN"]


def test_without_a_value_all_is_as_at_first(paas: Paas) -> None:
    app = paas.store.apps.create("app")
    before = builder_options(paas.store.settings, app.id)
    for key, value in (("build-arg", "A=1"), ("build-dir", "x"), ("build-config", "all")):
        assert paas("builder:set", "app", key, value, caller=KEY).code == 0
    assert builder_options(paas.store.settings, app.id).wants("ANYTHING")
    for key in ("build-arg", "build-dir", "build-config"):
        assert paas("builder:set", "app", key, caller=KEY).code == 0
    assert builder_options(paas.store.settings, app.id) == before
