"""The YAML of `bin/release`: what buildpacks print, and what cannot be meant."""

from __future__ import annotations

import pytest

from paas.buildpack.release import Defaults, InvalidRelease, parse_release
from paas.model.names import InvalidName


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just words\n", "must print a mapping"),
        ("- a\n- b\n", "must print a mapping"),
        ("config_vars: 7\n", "config_vars must be a mapping"),
        ("a: b\n  web: x\n", "line 2: not valid YAML"),
        ("config_vars:\n  A: 'open\n", "not valid YAML"),
        ("config_vars:\n\tA: b\n", "line 2: not valid YAML"),
        ("default_process_types:\n  web: [a, b]\n", r"default_process_types\.web must be a text"),
        ("default_process_types:\n  - web\n", "default_process_types must be a mapping"),
        ("default_process_types:\n  ? [a]\n  : b\n", "not valid YAML"),
        ("addons: {a: b}\n", "addons must be a list"),
        ("addons: [{a: b}]\n", "addons must be a list"),
        ("a: &x [*x]\nconfig_vars: *x\n", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("a: \0\n", "not valid YAML"),
    ],
)
def test_what_is_no_release_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidRelease, match=message) as caught:
        parse_release(text, "python")
    assert "bin/release of python" in caught.value.brief


@pytest.mark.parametrize(
    "text", ["default_process_types:\n  'a b': x\n", "config_vars:\n  1A: x\n"]
)
def test_names_are_checked(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_release(text, "python")


def test_no_tag_makes_an_object() -> None:
    text = "config_vars:\n  A: !!python/object/apply:os.system ['id']\n"
    with pytest.raises(InvalidRelease, match="must be a text"):
        parse_release(text, "python")


def test_what_heroku_documents_is_read() -> None:
    text = """---
# made by a buildpack
addons:
  - heroku-postgresql
config_vars:
  RACK_ENV: production   # always
  GREETING: 'it''s "me"'
  VERSION: 1.10
  DEBUG: no
default_process_types:
    web: bundle exec rackup -p $PORT
    worker: "sh -c \\"echo: #1\\""
    clock: >-
      ruby
      clock.rb
"""
    assert parse_release(text, "ruby") == Defaults(
        {
            "web": "bundle exec rackup -p $PORT",
            "worker": 'sh -c "echo: #1"',
            "clock": "ruby clock.rb",
        },
        {"RACK_ENV": "production", "GREETING": 'it\'s "me"', "VERSION": "1.10", "DEBUG": "no"},
        ("heroku-postgresql",),
    )


@pytest.mark.parametrize("text", ["", "--- {}\n", "---\n", "addons: []\nconfig_vars: {}\n", "~"])
def test_nothing_is_nothing(text: str) -> None:
    assert parse_release(text, "x") == Defaults()


def test_a_list_at_the_margin_belongs_to_its_key() -> None:
    text = "addons:\n- one\ndefault_process_types:\n  web: x\n"
    assert parse_release(text, "x").processes == {"web": "x"}
