"""Restart policies: what is refused, and what is decided."""

from __future__ import annotations

import pytest

from paas.engine.policy import InvalidPolicy, RestartPolicy


@pytest.mark.parametrize("text", ["", "yes", "on-failure:", "on-failure:0", "on-failure:-1",
                                  "always:3", "no:1", "on-failure:9999999"])  # fmt: skip
def test_words_that_are_no_policy(text: str) -> None:
    with pytest.raises(InvalidPolicy, match="not a restart policy"):
        RestartPolicy.parse(text)


@pytest.mark.parametrize("text", ["no", "on-failure", "on-failure:5", "always", "unless-stopped"])
def test_a_policy_is_kept_in_its_words(text: str) -> None:
    assert str(RestartPolicy.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "code", "failures", "stopped", "wanted"),
    [
        ("no", 1, 0, False, False),
        ("on-failure", 0, 0, False, False),
        ("on-failure", 1, 99, False, True),
        ("on-failure", None, 0, False, True),
        ("on-failure", 1, 0, True, False),
        ("on-failure:2", 1, 1, False, True),
        ("on-failure:2", 1, 2, False, False),
        ("always", 0, 99, False, True),
        ("always", 0, 0, True, False),
        ("unless-stopped", 137, 0, False, True),
        ("unless-stopped", 137, 0, True, False),
    ],
)
def test_who_starts_again(
    text: str, code: int | None, failures: int, stopped: bool, wanted: bool
) -> None:
    assert RestartPolicy.parse(text).wants(code, failures, stopped=stopped) is wanted
