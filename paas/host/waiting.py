"""Waiting for something that no descriptor announces: look, rest shortly, look again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STEP_S = 0.005
"""Between two looks: short against what is waited for, long against what a look costs."""


def wait_until(look: Callable[[], T], seconds: float, step_s: float = STEP_S) -> T:
    """Call `look` until it returns something true, at most for `seconds`.

    Returns what it returned last: something false means that the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(step_s)
