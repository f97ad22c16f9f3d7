"""What takes turns has its turn: over a few commits a whole run has everything once."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain, islice
from pathlib import Path

import pytest

from tests.killing import moments
from tests.turns import TURN, in_turn, numbers_in_turn

CHECKOUT = Path(__file__).parents[2]
THINGS = list(range(17))
MARKED = "tests/push/test_crash.py"


@pytest.fixture(autouse=True)
def nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TURN, raising=False)


def test_nothing_is_left_out_of_a_run_that_is_nobodys_turn() -> None:
    assert in_turn(THINGS, 3) == THINGS
    assert list(islice(numbers_in_turn(5, 3), 4)) == [5, 6, 7, 8]
    assert moments(6, 6) == [0, 1, 2, 3, 4, 5]
    assert moments(60, 6) == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("first", [0, 529, 530])
def test_so_many_commits_have_everything_once(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    had, numbers = [], []
    for turn in range(first, first + 3):
        monkeypatch.setenv(TURN, str(turn))
        had.append(in_turn(THINGS, 3))
        numbers.append(list(islice(numbers_in_turn(0, 3), 5)))
    assert sorted(chain(*had)) == THINGS
    assert sorted(chain(*numbers)) == list(range(15))


def test_every_moment_is_one_of_some_commit_of_either_parity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for parity in (0, 1):
        met = set()
        for turn in range(parity, 100, 2):
            monkeypatch.setenv(TURN, str(turn))
            now = moments(60, 6)
            assert now[0] == 0
            assert 3 <= len(now) <= 4
            met |= set(now)
        assert met == set(range(60))


def test_the_tests_of_a_marked_file_are_shared_out_and_those_left_out_are_counted() -> None:
    everything, even, odd = (collected(turn) for turn in (None, "0", "1"))
    assert not even & odd
    assert even | odd == everything
    assert min(len(even), len(odd)) >= len(everything) // 2


def collected(turn: str | None) -> set[str]:
    """The tests of a file that a run with this turn has."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--collect-only"]
    env = os.environ | ({} if turn is None else {TURN: turn})
    done = subprocess.run(
        [*words, MARKED], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True
    )
    assert ("deselected" in done.stdout) is (turn is not None)
    return {line for line in done.stdout.splitlines() if line.startswith(MARKED)}
