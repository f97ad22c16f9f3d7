"""What programs of plugins write, and what is made of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.plugin.answer import MAX_REASON, BadAnswer, builder_answer, hook_answer
from paas.plugin.declaration import Permissions
from paas.plugin.hookspecs import Answer

MAY = Permissions(set_config=("VAULT_*",))


@pytest.mark.parametrize("data", [b"", b" \n", b"{}", b'{"config": {}}'])
def test_nothing_to_say_is_consent(data: bytes) -> None:
    assert hook_answer(data, "pre-release", MAY) == Answer()


def test_a_refusal_says_why_and_reprograms_no_terminal() -> None:
    data = json.dumps({"refuse": "no\x1b]0;t\x07\x1b[2J\nat all"}).encode()
    assert hook_answer(data, "pre-build", MAY).refuse == "no\nat all"


def test_config_is_set_where_it_may_be() -> None:
    answer = hook_answer(b'{"config": {"VAULT_A": "x"}}', "pre-release", MAY)
    assert {key: value.reveal() for key, value in answer.config.items()} == {"VAULT_A": "x"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello", "its answer is not JSON: 'hello'"),
        (b"\xff\xfe", "its answer is not JSON"),
        (b"[" * 100_000, "its answer is not JSON"),
        (b"[]", "its answer is no JSON object"),
        (b'"yes"', "its answer is no JSON object"),
        (b"{} {}", "its answer is not JSON"),
        (b'{"ok": true}', "its answer has the field 'ok'; it may say config, refuse"),
        (b'{"refuse": true}', "refuse: must be a text"),
        (b'{"refuse": " "}', "refuse: must say why"),
        (json.dumps({"refuse": "x" * (MAX_REASON + 1)}).encode(), "refuse: must be a text of at"),
        (b'{"config": ["A"]}', "config: must be an object of texts"),
        (b'{"config": {"VAULT_A": 1}}', "config: must be an object of texts"),
        (b'{"config": {"PATH": "/x"}}', "config: it may not set 'PATH'"),
        (b'{"config": {"VAULT_=": "x"}}', "config: it may not set 'VAULT_='"),
        (b'{"config": {"VAULT_A": "a\\u0000b"}}', "config: The value of VAULT_A has a NUL"),
        (b'{"config": {"VAULT_A": "\\ud800"}}', "config: The value of VAULT_A is not UTF-8"),
    ],
)
def test_anything_else_is_an_error_that_says_what(data: bytes, message: str) -> None:
    with pytest.raises(BadAnswer) as raised:
        hook_answer(data, "pre-release", MAY)
    assert message in raised.value.brief
    assert raised.value.brief.isprintable()


def test_only_a_hook_before_the_release_adds_to_its_config() -> None:
    with pytest.raises(BadAnswer):
        hook_answer(b'{"config": {"VAULT_A": "x"}}', "pre-deploy", MAY)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_that(data: bytes) -> None:
    for read in (lambda: hook_answer(data, "pre-build", MAY), lambda: builder_answer(data)):
        try:
            read()
        except BadAnswer:
            continue


def test_a_builder_writes_a_dockerfile() -> None:
    data = b'{"dockerfile": "FROM x\\n", "processes": {"web": "run"}}'
    assert builder_answer(data) == ("FROM x\n", {"web": "run"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"dockerfile": ""}',
        b'{"dockerfile": ["FROM x"]}',
        b'{"dockerfile": "FROM x", "processes": {"w b": "x"}}',
        b'{"dockerfile": "FROM x", "processes": {"web": " "}}',
        b'{"dockerfile": "FROM x", "refuse": "x"}',
    ],
)
def test_a_builder_that_writes_none_is_an_error(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        builder_answer(data)
