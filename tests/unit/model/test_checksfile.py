"""Dokku's CHECKS file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import PaasError
from paas.model.checksfile import InvalidChecks, parse_checks
from paas.model.health import Healthcheck


@pytest.mark.parametrize("line", ["hello", "<<<<<<< HEAD", "WAIT=soon /", "ftp://x/ y", "gopher"])
def test_a_line_that_is_no_check_is_named(line: str) -> None:
    with pytest.raises(InvalidChecks, match="CHECKS:2"):
        parse_checks(f"WAIT=1\n{line}\n")


def test_a_file_of_the_field() -> None:
    text = """\
# be patient
WAIT=2
TIMEOUT=10
ATTEMPTS=6

/                       Welcome to it
//admin.example.com/up
https://shop.example.com/cart?x=1   checkout
INITIAL_NETWORK=x
"""
    common = {"wait_s": 2, "timeout_s": 10, "attempts": 6}
    assert parse_checks(text) == (
        Healthcheck(content="Welcome to it", **common),  # type: ignore[arg-type]
        Healthcheck(path="/up", headers=(("Host", "admin.example.com"),), **common),  # type: ignore[arg-type]
        Healthcheck(
            path="/cart?x=1", content="checkout", scheme="https",
            headers=(("Host", "shop.example.com"),), **common,  # type: ignore[arg-type]
        ),
    )  # fmt: skip


def test_settings_hold_wherever_they_stand() -> None:
    [check] = parse_checks("/up\nATTEMPTS=2\n")
    assert (check.attempts, check.wait_s, check.timeout_s) == (2, 5, 30)
    assert parse_checks("") == parse_checks("# nothing\n") == ()


@given(st.text())
def test_any_text_is_read_or_refused_with_a_line_number(text: str) -> None:
    try:
        checks = parse_checks(text)
    except PaasError as error:
        assert error.brief.startswith("CHECKS:")
    else:
        assert all(one.path.startswith("/") for one in checks)
