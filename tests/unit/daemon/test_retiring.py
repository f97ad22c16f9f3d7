"""An old instance is looked after when the rush behind a switch is over, and then at each look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paas.daemon.retiring import RETIRE_AFTER_SECONDS, Retiring
from paas.host.clock import SystemClock
from paas.model.instance import Instance, InstanceState


class HeldClock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


LIVE = Instance(1, 7, 3, "web", 1, "c1", "10.0.0.1", 5000, InstanceState.LIVE, None, 0.0)
OLD = replace(LIVE, id=2, state=InstanceState.RETIRING)
OLDER = replace(OLD, id=3)


def test_nobody_else_is_due_ever(clock: HeldClock) -> None:
    retiring = Retiring(clock)
    for _ in range(2):
        assert retiring.due([LIVE]) == ([], [])
        clock.seconds += 2 * RETIRE_AFTER_SECONDS


def test_each_is_due_behind_its_own_rush(clock: HeldClock) -> None:
    retiring = Retiring(clock)
    first = clock.seconds + RETIRE_AFTER_SECONDS
    assert retiring.due([LIVE, OLDER]) == ([], [first])
    clock.seconds += RETIRE_AFTER_SECONDS / 2
    second = clock.seconds + RETIRE_AFTER_SECONDS
    assert retiring.due([LIVE, OLDER, OLD]) == ([], [first, second])
    clock.seconds = first
    assert retiring.due([LIVE, OLDER, OLD]) == ([OLDER], [second])
    clock.seconds = second
    # As long as it is there: what looks after it may have failed.
    assert retiring.due([LIVE, OLDER, OLD]) == ([OLDER, OLD], [])


def test_one_that_is_gone_is_forgotten(clock: HeldClock) -> None:
    retiring = Retiring(clock)
    retiring.due([OLD])
    clock.seconds += RETIRE_AFTER_SECONDS
    assert retiring.due([]) == ([], [])
    assert retiring.due([OLD]) == ([], [clock.seconds + RETIRE_AFTER_SECONDS])
