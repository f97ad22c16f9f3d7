"""An app by its name, by a flag, or the server instead."""

from __future__ import annotations

import pytest

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word
from paas.cli.parsing import Flags, Misused, Parsed, parse

EITHER = Command(
    "x:set",
    "Set it",
    Access.ADMIN,
    lambda _: None,
    Names.APP_OR_GLOBAL,
    arguments=(one_word("key", "KEY"), one_word("value", "VALUE", required=False)),
)


def parsed(*words: str, app: str | None = None) -> Parsed:
    return parse(EITHER, words, Flags(app=app))


def test_neither_app_nor_server_is_asked_for() -> None:
    with pytest.raises(Misused, match="an app to run the command on, or --global"):
        parsed()


def test_the_server_leaves_all_words_to_the_arguments() -> None:
    for words in (("--global", "k", "v"), ("k", "v", "--global")):
        found = parsed(*words, app="named-by-a-git-remote")
        assert (found.app, found.parameters) == (None, {"key": "k", "value": "v"})


def test_the_first_word_is_the_app_and_so_is_the_flag() -> None:
    assert parsed("shop", "k", "v").app == parsed("k", "v", app="shop").app == "shop"
    assert EITHER.usage == "x:set <app>|--global KEY [VALUE]"
