"""Names: what is refused, in which words, and that what passes is safe everywhere."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model import names
from paas.model.names import (
    InvalidName,
    parse_app_name,
    parse_config_key,
    parse_domain,
    parse_key_name,
    parse_process_type,
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("a" * 64, "64 characters long"),
        ("Shop", "upper case"),
        ("-rf", "begins with a dash"),
        ("shop-", "ends with a dash"),
        ("../x", "not allowed"),
        ("a/b", "not allowed"),
        ("a b", "not allowed"),
        ("a.b", "not allowed"),
        ("ünïcode", "not allowed"),
        ("shop\n", "not allowed"),
        ("x;id", "not allowed"),
        ("\x1b[31mred", "not allowed"),
        ("٣", "not allowed"),
    ],
)
def test_a_bad_app_name_says_what_is_wrong_with_it(text: str, fault: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_app_name(text)
    assert fault in caught.value.brief
    assert caught.value.resolution
    assert caught.value.code == 1
    assert caught.value.brief.isprintable()


@pytest.mark.parametrize("text", ["a", "7", "my-app-2", "a" * 63, "a--b"])
def test_a_good_app_name_is_itself(text: str) -> None:
    assert parse_app_name(text) == text


@given(st.text(max_size=70))
def test_what_passes_as_an_app_name_is_a_dns_label_and_one_path_component(text: str) -> None:
    try:
        name = parse_app_name(text)
    except InvalidName:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name)
    assert PurePosixPath("/repos", name).parent == PurePosixPath("/repos")
    assert not name.startswith("-")


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a..b", "-x.example", "a b.example", "http://a.example", "a.example:80",
     "a.example/x", "a;b", "x{}", "*", "*.", "a.*.example", "*a.example", "\u00fc..example",
     "\u2460\u3002", "192.0.2.1", "a b\u00fc.example", "a" * 64 + ".example",
     ".".join(["a" * 60] * 5), "a.example\n", "a.example;"],
)  # fmt: skip
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(InvalidName, match="domain"):
        parse_domain(text)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("WWW.Example.COM", "www.example.com"),
        ("example.com.", "example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_acme.example", "_acme.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("日本語。jp", "xn--wgv71a119e.jp"),
    ],
)
def test_a_domain_is_lower_case_and_without_its_last_dot(text: str, domain: str) -> None:
    assert parse_domain(text) == domain


@given(st.text(alphabet=";{}$\"'\\ \n#*.-aA_", max_size=40))
def test_what_passes_as_a_domain_means_nothing_to_nginx(text: str) -> None:
    try:
        domain = parse_domain(text)
    except InvalidName:
        return
    assert re.fullmatch(r"(\*\.)?[a-z0-9_.-]+", domain)


@pytest.mark.parametrize("text", ["", "web worker", "-web", "web:", "é", "a" * 64, "a/b", "."])
def test_what_is_no_process_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_process_type(text)


def test_a_process_type_may_have_what_dokku_s_may() -> None:
    assert [parse_process_type(text) for text in ("web", "Web_2-x", "7")] == ["web", "Web_2-x", "7"]


@pytest.mark.parametrize("text", ["", "1A", "A-B", "A.B", "A B", "Ä", "A\n", "A=", "$A"])
def test_what_is_no_config_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_config_key(text)


@pytest.mark.parametrize("text", ["", "a b", "../x", "-x", 'a"b', "a\n", "ü"])
def test_what_is_no_key_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_key_name(text)


@given(st.text())
def test_a_shown_text_is_one_short_line(text: str) -> None:
    assert names.shown(text).isprintable()
    assert len(names.shown("x" * 1000)) < 50
