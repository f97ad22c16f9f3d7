"""What is typed after `ssh paas@server`, split once."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.daemon.forced import CommandUnreadable, parse_command


@pytest.mark.parametrize("text", ["'", 'a "b', "a\\"])
def test_what_has_no_end_is_refused(text: str) -> None:
    with pytest.raises(CommandUnreadable) as caught:
        parse_command(text)
    assert caught.value.brief.startswith("The command cannot be read: no ")


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_asks_for_help(text: str) -> None:
    assert parse_command(text) == ("help",)


@pytest.mark.parametrize(
    "text",
    [
        "git-receive-pack 'app'",
        "git-receive-pack '/app'",
        "git-receive-pack '/app.git'",
        "git-receive-pack 'app.git/'",
        "git-receive-pack '~/app.git'",
        "git receive-pack 'app'",
    ],
)
def test_every_spelling_of_git_is_one(text: str) -> None:
    assert parse_command(text) == ("git-receive-pack", "app")


@pytest.mark.parametrize("service", ["upload-pack", "upload-archive"])
def test_reading_has_the_same_spellings(service: str) -> None:
    assert parse_command(f"git {service} '/app.git'") == (f"git-{service}", "app")


def test_a_name_that_climbs_stays_for_the_parser_of_names_to_refuse() -> None:
    assert parse_command("git-receive-pack '/../x'") == ("git-receive-pack", "../x")


def test_other_commands_keep_what_looks_like_a_path() -> None:
    assert parse_command("run app /bin/x.git") == ("run", "app", "/bin/x.git")


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_what_a_shell_quoted_comes_out_as_it_was(words: list[str]) -> None:
    assert parse_command("config:set " + shlex.join(words)) == ("config:set", *words)


@given(st.text())
def test_any_text_is_words_or_refused_in_one_sentence(text: str) -> None:
    try:
        words = parse_command(text)
    except CommandUnreadable as error:
        assert error.resolution
    else:
        assert words
        assert all(isinstance(word, str) for word in words)
