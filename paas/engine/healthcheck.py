"""The HEALTHCHECK of images: when the next probe is due, and what its outcome means.

Pure. Times and words are Docker's: `starting` until the first success or until `retries`
failures in a row after the start period, then `healthy` or `unhealthy`.
Source: https://docs.docker.com/reference/dockerfile/#healthcheck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from paas.engine.config import Healthcheck

INTERVAL_SECONDS = 30.0
TIMEOUT_SECONDS = 30.0
START_INTERVAL_SECONDS = 5.0
RETRIES = 3
MOST_OUTPUT = 4096
"""Bytes of a probe's words that are kept."""

SHELL = ("/bin/sh", "-c")


class Condition(Enum):
    """What the probes say of a container."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Plan:
    """A HEALTHCHECK with Docker's defaults in place of what it does not say. Seconds."""

    argv: tuple[str, ...]
    interval: float = INTERVAL_SECONDS
    timeout: float = TIMEOUT_SECONDS
    start_period: float = 0.0
    start_interval: float = START_INTERVAL_SECONDS
    retries: int = RETRIES


@dataclass(frozen=True)
class Health:
    """What is known after some probes; `at` is the last one's time (epoch seconds)."""

    condition: Condition = Condition.STARTING
    failures: int = 0
    at: float | None = None
    exit_code: int | None = None
    output: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.condition.value,
            "failing_streak": self.failures,
            "at": self.at,
            "exit_code": self.exit_code,
            "output": self.output,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Health:
        return cls(
            Condition(document["status"]),
            document["failing_streak"],
            document["at"],
            document["exit_code"],
            document["output"],
        )


def in_shell(check: Healthcheck | None, shell: Sequence[str] | None) -> Healthcheck | None:
    """The shell form with the image's SHELL, whose words it is for (Dockerfile reference)."""
    if check is None or not shell or check.test[:1] != ("CMD-SHELL",):
        return check
    return replace(check, test=("CMD", *shell, *check.test[1:2]))


def plan_of(check: Healthcheck | None) -> Plan | None:
    """What to do for a HEALTHCHECK; None for none, `NONE` and one without a command."""
    if check is None or len(check.test) < 2:
        return None
    kind, *words = check.test
    if kind not in ("CMD", "CMD-SHELL"):
        return None
    return Plan(
        (*SHELL, words[0]) if kind == "CMD-SHELL" else tuple(words),
        check.interval or INTERVAL_SECONDS,
        check.timeout or TIMEOUT_SECONDS,
        check.start_period or 0.0,
        check.start_interval or START_INTERVAL_SECONDS,
        check.retries or RETRIES,
    )


def due(plan: Plan, health: Health, started_at: float) -> float:
    """When the next probe is due (epoch seconds)."""
    after = health.at if health.at is not None else started_at
    booting = health.condition is Condition.STARTING and after - started_at < plan.start_period
    return after + (min(plan.start_interval, plan.interval) if booting else plan.interval)


def after_probe(
    plan: Plan, health: Health, exit_code: int | None, output: str, *, at: float, age: float
) -> Health:
    """What is known after one more probe; `exit_code` None when it ran out of time.

    `age` is how long the container had run when the probe began. A failure within the
    start period counts only once a probe has succeeded.
    """
    seen = replace(health, at=at, exit_code=exit_code, output=output[:MOST_OUTPUT])
    if exit_code == 0:
        return replace(seen, condition=Condition.HEALTHY, failures=0)
    if health.condition is Condition.STARTING and age < plan.start_period:
        return seen
    failures = health.failures + 1
    condition = Condition.UNHEALTHY if failures >= plan.retries else health.condition
    return replace(seen, condition=condition, failures=failures)
