"""config: values come through whole, and are changed all or none."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.cli.env_formats import exported, quoted
from paas.model.app import App
from paas.model.env import MAX_VALUE_BYTES
from tests.unit.cli.caller import Paas

VALUES = {"EMPTY": "", "LINES": "a\nb\n", "QUOTES": 'it\'s "$HOME"', "UNICODE": "grüße 🚀"}


@pytest.fixture
def app(paas: Paas) -> App:
    return paas.store.apps.create("x")


# -- refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["novalue", "=x", "1A=x", "A-B=x", "A B=x", "A=\0", "\udcff=x"])
def test_a_bad_pair_changes_nothing(paas: Paas, app: App, pair: str) -> None:
    said = paas("config:set", "x", "GOOD=1", pair)
    assert said.code == 1
    assert len(said.err.splitlines()) <= 2
    assert paas.platform.asked == []


def test_a_value_that_is_too_large_is_refused(paas: Paas, app: App) -> None:
    for size in (MAX_VALUE_BYTES + 1, 3 * MAX_VALUE_BYTES):
        said = paas("config:set", "x", "A=-", input=b"x" * size)
        assert said.code == 1
        assert "x" * 100 not in said.err
    assert paas.platform.asked == []


def test_input_that_is_no_text_is_refused(paas: Paas, app: App) -> None:
    assert "UTF-8" in paas("config:set", "x", "A=-", input=b"\xff\xfe").err


def test_what_is_not_set_is_exit_1_and_no_output(paas: Paas, app: App) -> None:
    said = paas("config:get", "x", "A")
    assert (said.code, said.out, said.err) == (1, "", "")


@pytest.mark.parametrize("command", ["set", "get", "unset", "clear", "show", "keys", "export"])
def test_a_missing_app_is_exit_20(paas: Paas, command: str) -> None:
    words = {"set": ["A=1"], "get": ["A"], "unset": ["A"]}.get(command, [])
    said = paas(f"config:{command}", "nope", *words)
    assert (said.code, said.err) == (20, " !     App nope does not exist\n")


# -- set --------------------------------------------------------------------------------------


def test_set_asks_for_one_change_of_all_its_pairs(paas: Paas, app: App) -> None:
    said = paas("config:set", "x", "A=1", "LONGER=b=c d", "E=")
    assert paas.platform.asked == [
        ("apply_config", "x", {"A": "1", "LONGER": "b=c d", "E": ""}, [], "ann", True)
    ]
    assert said.lines == [
        "-----> Setting config vars",
        "       A:       1",
        "       LONGER:  b=c d",
        "       E:",
    ]


def test_a_value_that_begins_with_a_dash_is_no_option(paas: Paas, app: App) -> None:
    paas("config:set", "x", "FLAGS=--no-restart -x")
    assert paas.platform.asked[0][2] == {"FLAGS": "--no-restart -x"}


def test_no_restart_is_passed_on(paas: Paas, app: App) -> None:
    for argv in (["--no-restart", "x", "A=1"], ["x", "A=1", "--no-restart"]):
        paas("config:set", *argv)
    assert [asked[-1] for asked in paas.platform.asked] == [False, False]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret", "secret"),
        (b"", ""),
        (b"-----BEGIN\nAAAA\n-----END\n", "-----BEGIN\nAAAA\n-----END\n"),
        ("grüße\n🚀".encode(), "grüße\n🚀"),
    ],
)
def test_a_value_is_read_from_standard_input(paas: Paas, app: App, data: bytes, value: str) -> None:
    paas("config:set", "x", "A=-", input=data)
    assert paas.platform.asked[0][2] == {"A": value}


def test_a_megabyte_goes_in(paas: Paas, app: App) -> None:
    value = "0123456789abcdef" * (MAX_VALUE_BYTES // 16)
    said = paas("config:set", "x", "A=-", input=value.encode())
    assert said.code == 0
    assert paas.platform.asked[0][2] == {"A": value}
    assert len(said.out) < 400
    assert "no process gets it" in said.err


def test_encoded_values_are_decoded(paas: Paas, app: App) -> None:
    encoded = base64.b64encode(VALUES["UNICODE"].encode()).decode()
    paas("config:set", "--encoded", "x", f"A={encoded}")
    assert paas.platform.asked[0][2] == {"A": VALUES["UNICODE"]}
    assert "base64" in paas("config:set", "--encoded", "x", "A=!").err


def test_unset_and_clear_name_what_goes(paas: Paas, app: App) -> None:
    paas.store.config.set(app.id, {"A": "1", "B": "2"})
    paas("config:unset", "x", "A", "C")
    paas("config:clear", "x", "--no-restart")
    assert [asked[3] for asked in paas.platform.asked] == [["A", "C"], ["A", "B"]]
    assert paas("config:unset", "x", "A B").code == 1


# -- read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", VALUES)
def test_get_is_the_bare_value(paas: Paas, app: App, key: str) -> None:
    paas.store.config.set(app.id, VALUES)
    assert paas("config:get", "x", key).out == VALUES[key] + "\n"


def test_show_is_aligned_below_a_heading(paas: Paas, app: App) -> None:
    paas.store.config.set(app.id, {"A": "1", "LONGER": "2"})
    assert paas("config:show", "x").lines == ["=====> x env vars", "A:       1", "LONGER:  2"]
    assert json.loads(paas("config:show", "x", "--format", "json").out) == {"A": "1", "LONGER": "2"}
    assert paas("config:keys", "x").lines == ["A", "LONGER"]


def test_an_app_without_config_shows_nothing(paas: Paas, app: App) -> None:
    assert paas("config:show", "x").lines == ["=====> x env vars"]
    assert paas("config:export", "x").out == ""
    assert paas("config:export", "x", "--format", "json").out == "{}\n"


def test_export_has_dokku_s_formats(paas: Paas, app: App) -> None:
    paas.store.config.set(app.id, {"A": "it's", "B": "2"})
    assert paas("config:export", "x").out == "export A='it'\\''s'\nexport B='2'\n"
    assert paas("config:export", "x", "--format", "shell").out == "A='it'\\''s' B='2'\n"
    assert json.loads(paas("config:export", "x", "--format", "json-list").out) == [
        {"name": "A", "value": "it's"},
        {"name": "B", "value": "2"},
    ]
    assert paas("config:export", "x", "--format", "docker").code == 1


# The shell drops a NUL, and what is no UTF-8 is never stored.
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


@given(st.lists(texts, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_real_shell_reads_back_what_was_exported(values: list[str]) -> None:
    variables = {f"V{number}": value for number, value in enumerate(values)}
    script = exported(variables, "exports") + "".join(
        f'printf "%s\\0" "${name}"\n' for name in variables
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={})
    assert done.stdout == b"".join(value.encode() + b"\0" for value in values)
    assert done.stderr == b""


@given(texts)
@settings(max_examples=20, deadline=None)
def test_quoted_is_one_word(value: str) -> None:
    script = f'set -- {quoted(value)}; printf \'%s:%s\' "$#" "$1"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={})
    assert done.stdout == b"1:" + value.encode()
