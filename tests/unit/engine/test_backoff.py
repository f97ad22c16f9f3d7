"""How long a crashed instance waits."""

from __future__ import annotations

from paas.engine.backoff import LONGEST_SECONDS, Backoff


def test_the_first_restart_is_immediate_and_further_ones_wait_twice_as_long() -> None:
    backoff = Backoff()
    assert [backoff.failed("web.1", 100.0) for _ in range(4)] == [0.0, 1.0, 2.0, 4.0]
    assert backoff.due("web.1") == 104.0


def test_the_wait_has_a_limit() -> None:
    backoff = Backoff()
    assert [backoff.failed("web.1", 0.0) for _ in range(20)][-1] == LONGEST_SECONDS


def test_a_good_run_starts_over() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.failed("web.1", 0.0)
    backoff.started("web.1", 100.0)
    assert backoff.failed("web.1", 161.0) == 0.0


def test_a_short_run_does_not() -> None:
    backoff = Backoff()
    backoff.failed("web.1", 0.0)
    backoff.started("web.1", 10.0)
    assert backoff.failed("web.1", 20.0) == 1.0


def test_places_are_counted_apart_and_can_be_forgotten() -> None:
    backoff = Backoff()
    backoff.failed("web.1", 0.0)
    assert backoff.failed("web.2", 0.0) == 0.0
    backoff.forget("web.1")
    assert backoff.due("web.1") == 0.0
