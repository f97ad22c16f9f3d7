"""Answers are there while they are asked for, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.proxy.challenges import Challenges, InvalidToken


@pytest.mark.parametrize("token", ["../x", "a/b", "", ".", "a\n", "a" * 201, "é"])
def test_a_token_that_is_none_writes_nothing(tmp_path: Path, token: str) -> None:
    with (
        pytest.raises(InvalidToken),
        Challenges(tmp_path / "acme").answered({"good": "x", token: "y"}),
    ):
        raise AssertionError("never entered")
    assert not list(tmp_path.rglob("*good*"))


def test_an_answer_goes_away_even_if_the_order_fails(tmp_path: Path) -> None:
    answer = tmp_path / "acme/.well-known/acme-challenge/to_k-en"
    with (
        pytest.raises(ZeroDivisionError),
        Challenges(tmp_path / "acme").answered({"to_k-en": "to_k-en.thumb"}),
    ):
        assert answer.read_text() == "to_k-en.thumb"
        assert answer.stat().st_mode & 0o777 == 0o644
        raise ZeroDivisionError
    assert not answer.exists()
    assert answer.parent.is_dir()
