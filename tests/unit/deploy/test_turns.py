"""Pushes of one app, one at a time: who waits, who is overtaken, who has died."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.deploy.turns import Superseded, Turns
from paas.host.clock import SystemClock
from paas.model.layout import Layout
from paas.model.report import Lines, Silent


class WhileItWaits(SystemClock):
    """A clock whose sleeper sees something happen, once."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens: Callable[[], object] | None = happens

    def sleep(self, seconds: float) -> None:  # noqa: ARG002 - the clock's signature
        assert self._happens is not None, "it goes on waiting"
        self._happens, happens = None, self._happens
        happens()


def nobody_waits() -> None:
    raise AssertionError("it waits")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def turns(layout: Layout, happens: Callable[[], object] = nobody_waits) -> Turns:
    return Turns(layout, WhileItWaits(happens))


def test_a_waiting_push_gives_way_to_a_newer_one_at_once(layout: Layout) -> None:
    running, newest = turns(layout), turns(layout)

    def another_comes() -> None:
        newest._draw(7, "newest")

    with (
        running.take(7, "first", Silent()),
        pytest.raises(Superseded, match="newer push") as caught,
        turns(layout, another_comes).take(7, "second", Silent()),
    ):
        raise AssertionError("it had its turn")
    assert "Nothing to do" in caught.value.resolution


def test_the_running_push_gives_way_to_nobody_and_the_newest_is_next(layout: Layout) -> None:
    said: list[bytes] = []
    first = turns(layout).take(7, "push of ada that began at 12:00:00 UTC", Silent())
    first.__enter__()
    second = turns(layout, lambda: first.__exit__(None, None, None))
    with second.take(7, "second", Lines(said.append)):
        assert said == [b"-----> Waiting for the push of ada that began at 12:00:00 UTC\n"]


def test_another_app_waits_for_nobody(layout: Layout) -> None:
    with turns(layout).take(7, "one", Silent()), turns(layout).take(8, "other", Silent()):
        pass


def test_a_killed_push_keeps_nobody_waiting(layout: Layout) -> None:
    child = os.fork()
    if child == 0:
        turns(layout)._draw(7, "killed")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with turns(layout).take(7, "next", Silent()):
        assert turns(layout)._waiting(7) == [2]


def test_a_killed_push_supersedes_nobody(layout: Layout) -> None:
    def another_comes_and_dies() -> None:
        turns(layout)._draw(7, "newer")[1].release()
        first.__exit__(None, None, None)

    first = turns(layout).take(7, "first", Silent())
    first.__enter__()
    with turns(layout, another_comes_and_dies).take(7, "second", Silent()):
        pass


def test_places_that_were_left_are_removed(layout: Layout) -> None:
    for _ in range(5):
        with turns(layout).take(7, "push", Silent()):
            pass
    with turns(layout).take(7, "push", Silent()):
        assert len(turns(layout)._numbers(7)) == 1
