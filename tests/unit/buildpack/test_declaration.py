"""`buildpack.toml`: nothing in it may become more of a Dockerfile than a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.buildpack.declaration import Declaration, InvalidBuildpack, parse_declaration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[paas", "not valid TOML"),
        ("paas = 1", "paas must be a table"),
        ("[paas]\ncolour = []", "paas.colour is not known"),
        ("[paas]\ndetect = 'x'", "paas.detect must be a list"),
        ("[paas]\npackages = ['nginx; id']", "'nginx; id' cannot stand there"),
        ("[paas]\npackages = ['--reinstall']", "cannot stand there"),
        ("[paas]\ndependencies = ['../x']", "cannot stand there"),
        ("[paas]\ndependencies = ['a\\nRUN id']", "TOML|cannot stand there"),
        ('[paas]\ndependencies = ["a\\nRUN id"]', "cannot stand there"),
        ("[paas]\nsettings = [1]", "cannot stand there"),
        ("[paas]\nbuild-only = 1", "must be true or false"),
    ],
)
def test_a_wrong_one_names_the_field(text: str, message: str) -> None:
    with pytest.raises(InvalidBuildpack, match=message):
        parse_declaration(text, "python/buildpack.toml")


def test_a_foreign_one_declares_nothing() -> None:
    text = '[buildpack]\nname = "Clojure"\n[publish.Ignore]\nfiles = ["test/"]\n'
    assert parse_declaration(text, "x") == Declaration()


def test_all_fields_are_read() -> None:
    text = '[paas]\ndetect = ["a.*"]\npackages = ["g++"]\ndependencies = ["r/*.txt"]'
    assert parse_declaration(text, "x") == Declaration(("a.*",), ("g++",), ("r/*.txt",))


@given(st.text() | st.sampled_from(["a=" + "[" * 100_000, "[paas]\n" * 2, "paas = 1"]))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_declaration(text, "x/buildpack.toml")
    except InvalidBuildpack as error:
        assert error.brief.startswith("x/buildpack.toml: ")
