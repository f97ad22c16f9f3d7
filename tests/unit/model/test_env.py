"""Config values: what no environment can hold, and that a secret does not show itself."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.env import (
    MAX_ENVIRONMENT_STRING,
    MAX_VALUE_BYTES,
    InvalidValue,
    Secret,
    fits_environment,
    parse_value,
    revealed,
    secrets,
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a\0b", "NUL"),
        ("\udcff", "UTF-8"),
        ("x" * (MAX_VALUE_BYTES + 1), str(MAX_VALUE_BYTES)),
        ("é" * (MAX_VALUE_BYTES // 2 + 1), str(MAX_VALUE_BYTES)),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_without_being_shown(text: str, word: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_value("TOKEN", text)
    assert "TOKEN" in caught.value.brief
    assert word in caught.value.brief
    assert text[:20] not in str(caught.value)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_other_text_is_a_value(text: str) -> None:
    assert parse_value("A", text) == text


def test_a_megabyte_is_a_value() -> None:
    assert len(parse_value("A", "x" * MAX_VALUE_BYTES)) == MAX_VALUE_BYTES


def test_a_secret_is_redacted_however_it_is_printed() -> None:
    secret = Secret("hunter2")
    printed = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        str([secret]),
    ]
    assert not any("hunter2" in text for text in printed)
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in "".join(traceback.format_exception(ValueError(secret)))


def test_secrets_are_equal_by_value_and_never_to_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert revealed(secrets({"A": "b"})) == {"A": "b"}


def test_a_variable_larger_than_execve_takes_is_known() -> None:
    fits = Secret("x" * (MAX_ENVIRONMENT_STRING - len("KEY=") - 1))
    assert fits_environment("KEY", fits)
    assert not fits_environment("KEY", Secret(fits.reveal() + "x"))
