"""Tests that take turns: of many that are alike, a whole run has some, and the next commit others.

`./test.sh` and CI say whose turn it is (PAAS_TEST_TURN, the number of commits); `./test.sh --all`
and runs of chosen files say nothing, and have them all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

TURN = "PAAS_TEST_TURN"


def in_turn(things: Sequence[T], parts: int) -> list[T]:
    """One of `parts` of them, evenly spread; behind as many commits there were all."""
    turn = os.environ.get(TURN)
    return list(things) if turn is None else list(things[int(turn) % parts :: parts])
