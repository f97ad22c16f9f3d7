"""The config vars that app.json declares, and its tests."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.errors import PaasError
from paas.model.appjson import AppTest, parse_app_json
from paas.model.declared import Declared, InvalidDeclaration, MissingConfig, additions
from paas.model.env import Secret


def declared(env: object) -> tuple[Declared, ...]:
    return parse_app_json(json.dumps({"env": env})).env


@pytest.mark.parametrize(
    ("env", "word"),
    [
        ([], "env must be an object"),
        ({"A": 1}, "env.A must be a string or an object"),
        ({"A": {"value": 1}}, "env.A.value"),
        ({"A": {"required": "yes"}}, "env.A.required"),
        ({"A": {"generator": "dice"}}, "env.A.generator"),
        ({"A-B": "x"}, "config variable"),
        ({"A": "a\0b"}, "NUL"),
    ],
)
def test_a_bad_declaration_is_named(env: object, word: str) -> None:
    with pytest.raises(PaasError) as caught:
        declared(env)
    assert word in str(caught.value)


def test_all_that_is_missing_is_said_at_once() -> None:
    found = declared(
        {"A": {"description": "the one thing"}, "B": {"required": False}, "C": {}, "D": {}}
    )
    with pytest.raises(MissingConfig) as caught:
        additions(found, {"D": Secret("set")}, lambda: "x")
    assert "not set: A, C" in caught.value.brief
    assert caught.value.details == ("A: the one thing",)
    assert "config:set APP A=VALUE C=VALUE" in caught.value.resolution


def test_values_and_secrets_are_added_where_nothing_is_set() -> None:
    found = declared(
        {
            "TEXT": "plain",
            "OWN": "default",
            "SYNCED": {"value": "file", "sync": True},
            "KEY": {"generator": "secret"},
            "KEPT_KEY": {"generator": "secret"},
        }
    )
    present = {"OWN": Secret("own"), "SYNCED": Secret("own"), "KEPT_KEY": Secret("old")}
    assert additions(found, present, lambda: "random") == {
        "TEXT": Secret("plain"),
        "SYNCED": Secret("file"),
        "KEY": Secret("random"),
    }
    assert "plain" not in repr(found)


def test_the_tests_of_an_app_are_heroku_s() -> None:
    text = """{"environments": {"test": {
        "scripts": {"test": "make check"}, "env": {"CI_ONLY": "1"},
        "addons": ["heroku-postgresql:in-dyno", {"plan": "heroku-redis", "as": "X"}]}}}"""
    assert parse_app_json(text).test == AppTest(
        "make check",
        (Declared("CI_ONLY", Secret("1")),),
        ("heroku-postgresql:in-dyno", "heroku-redis"),
    )
    for bad in ('{"addons": {}}', '{"addons": [1]}', '{"scripts": {"test": []}}', "[]"):
        with pytest.raises(PaasError, match=r"environments\.test"):
            parse_app_json(f'{{"environments": {{"test": {bad}}}}}')


values = st.none() | st.booleans() | st.text() | st.dictionaries(st.text(), st.text(), max_size=2)
entries = st.dictionaries(
    st.sampled_from(["value", "generator", "required", "sync", "description"]), values
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), values | entries, max_size=3))
def test_any_declaration_is_read_or_refused(env: dict[str, object]) -> None:
    try:
        found = declared(env)
    except PaasError as error:
        assert not isinstance(error, InvalidDeclaration) or error.brief.startswith("app.json: env")
    else:
        assert {one.key for one in found} == set(env)
