"""HEALTHCHECK by Docker's rules, with a clock of numbers."""

from __future__ import annotations

import pytest

from paas.engine.config import Healthcheck
from paas.engine.healthcheck import Condition, Health, Plan, after_probe, due, plan_of

PLAN = Plan(("true",), interval=10, timeout=1, start_period=20, start_interval=2, retries=3)


@pytest.mark.parametrize(
    "check", [None, Healthcheck(()), Healthcheck(("NONE",)), Healthcheck(("CMD",)),
              Healthcheck(("WHAT", "true"))]
)  # fmt: skip
def test_what_is_no_check(check: Healthcheck | None) -> None:
    assert plan_of(check) is None


def test_what_is_not_said_is_dockers_default() -> None:
    assert plan_of(Healthcheck(("CMD", "a", "b"))) == Plan(("a", "b"), 30, 30, 0, 5, 3)
    shell = plan_of(Healthcheck(("CMD-SHELL", "a | b"), 1, 2, 3, 4, 5))
    assert shell == Plan(("/bin/sh", "-c", "a | b"), 1, 2, 3, 4, 5)


def test_it_is_unhealthy_after_so_many_failures_in_a_row() -> None:
    health = Health()
    for number in (1, 2):
        health = after_probe(PLAN, health, 1, "", at=number, age=30)
        assert (health.condition, health.failures) == (Condition.STARTING, number)
    assert after_probe(PLAN, health, None, "", at=3, age=30).condition is Condition.UNHEALTHY
    healed = after_probe(PLAN, health, 0, "fine", at=3, age=30)
    assert (healed.condition, healed.failures, healed.output) == (Condition.HEALTHY, 0, "fine")
    failed = after_probe(PLAN, healed, 2, "x" * 9999, at=4, age=30)
    assert (failed.condition, failed.exit_code, len(failed.output)) == (Condition.HEALTHY, 2, 4096)


def test_failures_of_the_start_period_do_not_count_until_a_success() -> None:
    early = after_probe(PLAN, Health(), 1, "", at=1, age=5)
    assert (early.condition, early.failures) == (Condition.STARTING, 0)
    healthy = after_probe(PLAN, early, 0, "", at=2, age=6)
    assert after_probe(PLAN, healthy, 1, "", at=3, age=7).failures == 1


def test_while_it_starts_it_is_asked_oftener() -> None:
    assert due(PLAN, Health(), 100.0) == 102.0
    assert due(PLAN, Health(at=110.0), 100.0) == 112.0
    assert due(PLAN, Health(at=121.0), 100.0) == 131.0
    assert due(PLAN, Health(Condition.HEALTHY, at=105.0), 100.0) == 115.0


def test_what_is_kept_is_read_again() -> None:
    health = Health(Condition.UNHEALTHY, 3, 7.5, None, "words")
    assert Health.from_json(health.to_json()) == health
