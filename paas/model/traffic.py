"""Counts of requests: how many, how they ended, how long they took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

BOUNDS_MS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700,
             1000, 1500, 2000, 3000, 5000, 7000, 10000, 15000, 30000, 60000)  # fmt: skip
"""A latency is counted below the first bound that it does not pass: within 50 % of the truth."""

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


@dataclass
class Traffic:
    """Requests of some time. `latencies` has one more number than there are bounds."""

    classes: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    bytes: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    refused: int = 0
    """Answered by the proxy itself since no instance did: 502, 503 and 504."""

    @property
    def requests(self) -> int:
        return sum(self.classes)

    def count(
        self, status: int, milliseconds: int, size: int, *, by_app: bool, times: int = 1
    ) -> None:
        """Add requests that are alike. What closed before it was answered (499, 444) is a 4xx."""
        self.classes[min(max(status // 100, 1), 5) - 1] += times
        self.bytes += size * times
        self.latencies[bucket_of(milliseconds)] += times
        if status in (502, 503, 504) and not by_app:
            self.refused += times

    def add(self, other: Traffic) -> None:
        """Count what `other` counted too."""
        self.classes = _sum(self.classes, other.classes)
        self.latencies = _sum(self.latencies, other.latencies)
        self.bytes += other.bytes
        self.refused += other.refused

    def percentile(self, part: float) -> int | None:
        """The bound in milliseconds that `part` of the requests did not pass; None without any."""
        left = part * self.requests
        for bound, count in zip((*BOUNDS_MS, BOUNDS_MS[-1]), self.latencies, strict=True):
            left -= count
            if count and left <= 0:
                return bound
        return None


def bucket_of(milliseconds: int) -> int:
    """The place of a latency in `Traffic.latencies`."""
    for place, bound in enumerate(BOUNDS_MS):
        if milliseconds <= bound:
            return place
    return len(BOUNDS_MS)


def total(parts: Iterable[Traffic]) -> Traffic:
    """All of them as one."""
    whole = Traffic()
    for part in parts:
        whole.add(part)
    return whole


def _sum(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]
