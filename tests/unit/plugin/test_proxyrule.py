"""Settings of the proxy that plugins add: a value is part of a word, and never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.settings import InvalidSetting
from paas.plugin.fields import Fields
from paas.plugin.proxyrule import ProxyRule, proxy_rule
from paas.proxy.snippet import BrokenSnippet, parse, rendered

BASE = {"name": "h-x", "help": "x", "type": "text", "directives": "add_header X @value@ always;"}


def rule(**fields: object) -> ProxyRule:
    return proxy_rule(Fields({**BASE, **fields}, "p.toml"), "h")


@pytest.mark.parametrize(
    ("fields", "good", "bad"),
    [
        ({}, "default-src 'self'; img-src *", "a\\"),
        ({}, 'say "hi" {ok}', "$document_root"),
        ({}, "#x", "two\nlines"),
        ({"type": "number"}, "12", "12k"),
        ({"type": "host"}, "example.com:80", "a b"),
        ({"type": "url"}, "https://x.example/a?b=c", "javascript:alert(1)"),
        ({"type": "choice", "choices": ["a", "b"]}, "a", "c"),
    ],
)
def test_a_value_is_of_its_kind(fields: dict[str, object], good: str, bad: str) -> None:
    setting = rule(**fields).setting()
    assert setting.parse(good) == good
    with pytest.raises(InvalidSetting):
        setting.parse(bad)


def test_a_switch_has_no_value() -> None:
    switch = rule(type="switch", directives="gzip off;")
    assert [switch.applies(each) for each in ("on", "off", "")] == [True, False, False]
    with pytest.raises(ValueError, match="must hold @value@, unless it is a switch"):
        rule(type="switch")


@given(st.text(min_size=1, max_size=60))
def test_whatever_the_value_there_is_one_directive_with_its_words(value: str) -> None:
    setting, template = rule().setting(), "add_header X @value@ always;"
    try:
        setting.parse(value)
        text = rendered(template, "http://x", (), value)
    except (InvalidSetting, BrokenSnippet):
        return
    [directive] = parse(text)
    assert (directive.name, len(directive.words), directive.body) == ("add_header", 4, None)


@pytest.mark.parametrize(
    "value", ["x; include /etc/shadow", 'x"; return 200 "', "x} server {", "x' y", "#", '"', "'"]
)
def test_values_that_look_like_nginx_s_own_stay_values(value: str) -> None:
    for template in (
        "add_header X @value@;",
        'add_header X "a@value@b";',
        "add_header X 'c@value@';",
    ):
        [directive] = parse(rendered(template, "http://x", (), value))
        assert len(directive.words) == 3
