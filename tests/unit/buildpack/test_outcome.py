"""What is said of a buildpack that failed; what the driver wrote is not to be trusted."""

from __future__ import annotations

import pytest

from paas.buildpack.outcome import Failure, parse_failure


@pytest.mark.parametrize(
    "text", ["", "compile python", "compile python x", "rm python 1", "compile a b 1", "\0"]
)
def test_anything_else_is_no_answer(text: str) -> None:
    assert parse_failure(text) is None


def test_a_failed_program_is_named_with_its_code_and_last_lines() -> None:
    failure = parse_failure("compile python 3\n")
    assert failure == Failure("compile", "python", 3)
    error = failure.error(["no such package"])
    assert error.brief == "The python buildpack failed: bin/compile: exit code 3"
    assert error.details == ("no such package",)


def test_a_code_with_a_meaning_says_it() -> None:
    assert "a command was not found" in Failure("release", "x", 127).error().brief


def test_an_app_that_is_not_recognised_is_another_matter() -> None:
    failure = Failure("detect", "node", 1)
    assert failure.not_detected
    assert "does not recognise" in failure.error().brief
