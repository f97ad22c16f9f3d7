"""Waiting for something that no descriptor announces: look, rest shortly, look again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

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


class TookTooLong(Exception):
    """The time of `at_most` is over."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """The block ends after so many seconds, whatever it waits for. Raises `TookTooLong`.

    setitimer(2): a signal interrupts each system call that waits. For the main thread alone.
    A timer that was set before goes on behind the block.
    """
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            passed = time.monotonic() - began
            signal.setitimer(signal.ITIMER_REAL, max(left - passed, STEP_S), interval)


def _ring(_signal: int, _frame: object) -> NoReturn:
    raise TookTooLong
