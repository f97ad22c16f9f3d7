"""Tests that take turns: of many that are alike, a whole run has some, and the next commit others.

`./test.sh` and CI say whose turn it is (PAAS_TEST_TURN, the number of commits); `./test.sh --all`
and runs of chosen files say nothing, and have them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeVar

T = TypeVar("T")

TURN = "PAAS_TEST_TURN"


def turn() -> int | None:
    """Whose turn it is; None where all have theirs."""
    told = os.environ.get(TURN)
    return None if told is None else int(told)


def in_turn(things: Sequence[T], parts: int) -> list[T]:
    """One of `parts` of them, evenly spread; behind as many commits there were all."""
    now = turn()
    return list(things if now is None else things[now % parts :: parts])


def numbers_in_turn(first: int, parts: int) -> Iterator[int]:
    """The same of all numbers from `first` on."""
    now = turn()
    return count(first) if now is None else count(first + now % parts, parts)
