"""app.json and its health checks."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.errors import PaasError
from paas.model.appjson import Addon, AppJson, InvalidAppJson, Scripts, parse_app_json
from paas.model.health import Healthcheck, InvalidHealthcheck, Probe, parse_healthcheck


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "app.json:1"),
        ('{\n"a": 1\n"b": 2}', "app.json:3"),
        ('{\n// why\n/* a\nb */ "a": }', "app.json:4"),
        ("[]", "app.json must be an object"),
        ("[" * 100_000, "app.json"),
        ('{"formation": []}', "formation"),
        ('{"formation": {"web": 2}}', "formation.web"),
        ('{"formation": {"web": {"quantity": "2"}}}', "formation.web.quantity"),
        ('{"formation": {"web": {"quantity": true}}}', "formation.web.quantity"),
        ('{"formation": {"web": {"quantity": -1}}}', "from 0"),
        ('{"formation": {"../x": {"quantity": 1}}}', "process type"),
        ('{"scripts": {"postdeploy": ["a"]}}', "scripts.postdeploy"),
        ('{"scripts": {"dokku": {"predeploy": 1}}}', "scripts.dokku.predeploy"),
        ('{"healthchecks": {"web": {}}}', "list"),
        ('{"healthchecks": {"web": [[]]}}', "healthchecks.web[0]"),
    ],
)
def test_a_bad_file_is_refused_by_its_place(text: str, word: str) -> None:
    with pytest.raises(PaasError) as caught:
        parse_app_json(text)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attempts", 0), ("attempts", "3"), ("attempts", True), ("timeout", -1),
        ("timeout", "5"), ("wait", 1e9), ("port", 0), ("port", 65536), ("path", "x"),
        ("path", "/a b"), ("path", "/a\r\nHost: b"), ("scheme", "gopher"), ("type", "someday"),
        ("command", "true"), ("command", [1]), ("listening", 1), ("content", 1),
        ("httpHeaders", {}), ("httpHeaders", [{"name": "A:", "value": "b"}]),
        ("httpHeaders", [{"name": "A", "value": "b\r\nC: d"}]), ("uptime", "long"),
    ],
)  # fmt: skip
def test_a_bad_field_of_a_check_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidHealthcheck) as caught:
        parse_healthcheck({field: value}, "app.json: healthchecks.web[0]")
    assert field in caught.value.brief
    assert caught.value.brief.startswith("app.json: healthchecks.web[0]")


def test_an_empty_file_declares_nothing() -> None:
    assert parse_app_json("{}") == AppJson()


def test_comments_are_no_json_but_accepted() -> None:
    text = """
    {
      // how many
      "formation": {"web": {"quantity": 2}, "worker": {"max_parallel": 1}}, /* and
      what runs */
      "scripts": {"postdeploy": "echo http://x", "dokku": {"predeploy": "make // all"}}
    }
    """
    assert parse_app_json(text) == AppJson(
        formation={"web": 2},
        scripts=Scripts(predeploy="make // all", first_postdeploy="echo http://x"),
    )


def test_what_other_platforms_put_there_is_left_alone() -> None:
    assert parse_app_json('{"stack": "heroku-24", "success_url": "/"}') == AppJson()


def test_an_addon_is_a_plan_or_an_object_with_one() -> None:
    text = '{"addons": ["heroku-postgresql:mini", {"plan": "heroku-redis", "as": "CACHE"}]}'
    assert parse_app_json(text).addons == (
        Addon("heroku-postgresql:mini"),
        Addon("heroku-redis", "CACHE"),
    )


@pytest.mark.parametrize("addons", ['"x"', "[1]", '[{"as": "X"}]', '[{"plan": "x", "as": 3}]'])
def test_addons_of_another_shape_are_refused_by_name(addons: str) -> None:
    with pytest.raises(InvalidAppJson, match=r"app\.json: addons must be"):
        parse_app_json(f'{{"addons": {addons}}}')


def test_a_check_has_dokku_s_defaults_and_its_own_fields() -> None:
    [default, full] = parse_app_json(
        json.dumps({"healthchecks": {"web": [{}, {
            "type": "liveness", "name": "up", "attempts": 5, "timeout": 1, "wait": 0.5,
            "initialDelay": 2, "port": 8000, "path": "/up?x=1", "scheme": "HTTPS",
            "content": "ok", "httpHeaders": [{"name": "Host", "value": "a.example"}],
            "command": ["/check", "it"], "listening": True, "uptime": 3, "warn": True,
            "onFailure": {"command": ["x"]},
        }]}})
    ).healthchecks["web"]  # fmt: skip
    assert default == Healthcheck()
    assert (default.tries, default.timeout_s, default.wait_s, default.path) == (3, 5, 5, "/")
    assert full == Healthcheck(
        "up", Probe.LIVENESS, 5, 1, 0.5, 2, 8000, "/up?x=1", "https", "ok",
        (("Host", "a.example"),), ("/check", "it"), listening=True, uptime_s=3, warn=True,
    )  # fmt: skip


def test_a_check_survives_its_way_through_the_database() -> None:
    check = Healthcheck("n", command=("a", "b"), headers=(("A", "b"),), uptime_s=1.5, port=1)
    assert parse_healthcheck(json.loads(json.dumps(check.to_json())), "web") == check
    assert parse_healthcheck(Healthcheck().to_json(), "web") == Healthcheck()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(sorted(Healthcheck().to_json()))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(fields, values))
def test_any_check_is_read_or_refused(check: dict[str, object]) -> None:
    try:
        read = parse_app_json(json.dumps({"healthchecks": {"web": [check]}}))
    except InvalidHealthcheck:
        return
    assert read.healthchecks["web"][0].tries >= 1


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_app_json(text)
    except (InvalidAppJson, InvalidHealthcheck) as error:
        assert error.brief.startswith("app.json")


KEYS = [
    "healthchecks", "formation", "scripts", "env", "environments", "buildpacks", "addons", "cron",
    "name", "stack",
]  # fmt: skip
INNER = [
    "web", "quantity", "predeploy", "postdeploy", "dokku", "test", "url", "value", "required",
    "generator", "plan", "as", "schedule", "command", "attempts", "type", "path", "release",
]  # fmt: skip
shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2000) | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), shapes))
def test_a_file_of_any_shape_is_read_or_refused(document: dict[str, object]) -> None:
    try:
        parse_app_json(json.dumps(document))
    except PaasError as error:
        assert error.brief.startswith("app.json")
