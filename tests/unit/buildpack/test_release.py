"""The YAML of `bin/release`: what buildpacks print, and what cannot be meant."""

from __future__ import annotations

import pytest

from paas.buildpack.release import Defaults, InvalidRelease, parse_release
from paas.model.names import InvalidName


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just words\n", "line 1: not of the form"),
        ("config_vars: 7\n", "config_vars must be a mapping"),
        ("  web: x\n", "line 1: indented, but below nothing"),
        ("config_vars:\n  A: 'open\n", "line 2: a quote is not closed"),
        ('config_vars:\n  A: "open\n', "line 2: a quoted text cannot be read"),
        ("default_process_types:\n  web: |\n    x\n", "only plain and quoted"),
        ("default_process_types:\n  web: [a, b]\n", "only plain and quoted"),
        ("default_process_types:\n  - web\n", "line 2: not of the form"),
    ],
)
def test_what_is_no_release_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidRelease, match=message) as caught:
        parse_release(text, "python")
    assert "bin/release of python" in caught.value.brief


@pytest.mark.parametrize(
    "text", ["default_process_types:\n  'a b': x\n", "config_vars:\n  1A: x\n"]
)
def test_names_are_checked(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_release(text, "python")


def test_what_heroku_documents_is_read() -> None:
    text = """---
# made by a buildpack
addons:
  - heroku-postgresql
config_vars:
  RACK_ENV: production   # always
  GREETING: 'it''s "me"'
default_process_types:
    web: bundle exec rackup -p $PORT
    worker: "sh -c \\"echo: #1\\""
"""
    assert parse_release(text, "ruby") == Defaults(
        {"web": "bundle exec rackup -p $PORT", "worker": 'sh -c "echo: #1"'},
        {"RACK_ENV": "production", "GREETING": 'it\'s "me"'},
    )


@pytest.mark.parametrize("text", ["", "--- {}\n", "---\n", "addons: []\nconfig_vars: {}\n"])
def test_nothing_is_nothing(text: str) -> None:
    assert parse_release(text, "x") == Defaults()


def test_a_list_at_the_margin_belongs_to_its_key() -> None:
    text = "addons:\n- one\ndefault_process_types:\n  web: x\n"
    assert parse_release(text, "x").processes == {"web": "x"}
