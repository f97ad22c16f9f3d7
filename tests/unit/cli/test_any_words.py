"""Whatever is typed: an answer, a refusal in words, never a trace. For each command there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas.cli.command import Table
from paas.cli.errors import BUG
from tests.unit.cli.caller import KEY, ROOT, Paas, every_command
from tests.unit.cli.test_access import stubbed

EVERY = [command for command in every_command() if command.name not in {"help", "complete"}]
NAMES = [command.name for command in EVERY]
FLAGS = sorted({flag for command in EVERY for option in command.options for flag in option.opts})
COMMON = ["--app", "--quiet", "--force", "--help", "-h", "--version", "--global", "--", "-", "shop"]

word = st.one_of(
    st.sampled_from(FLAGS + COMMON),
    st.text(max_size=12),
    st.sampled_from(["1", "-1", "v1", "web=1", "K=V", "=", "a:b", "\0", "é", "\udcff", "../x"]),
)


@pytest.fixture(scope="module")
def paas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paas]:
    """One for all examples: what is typed here reaches no command's function."""
    folder: Path = tmp_path_factory.mktemp("words")
    paas = Paas(folder)
    paas.store.apps.create("shop")
    paas.table = Table([*map(stubbed, EVERY), *(c for c in every_command() if c.name == "help")])
    yield paas
    paas.store.close()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([ROOT, KEY]), st.sampled_from(NAMES), st.lists(word, max_size=5))
def test_any_words_are_understood_or_refused(
    paas: Paas, caller: object, name: str, words: list[str]
) -> None:
    said = paas(name, *words, caller=caller)  # type: ignore[arg-type]
    assert said.code != BUG, (name, words)
    assert said.code in {0, 77} or said.err.startswith(" !     "), (name, words, said)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(word, max_size=4))
def test_any_line_is_understood_or_refused(paas: Paas, words: list[str]) -> None:
    said = paas(*words)
    assert said.code != BUG, words
