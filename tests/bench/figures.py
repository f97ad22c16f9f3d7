"""Medians, a table for people and JSON for programs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of a result: what it is, its median, spread, and its ratio to a floor."""

    name: str
    median: float
    least: float
    most: float
    unit: str = "s"
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Beside a target: whether it is met; a table decides nothing else."""
        if self.target is None:
            return ""
        return "met" if self.median <= self.target else "MISSED"


def row(
    name: str, samples: Sequence[float], *, unit: str = "s", target: float | None = None
) -> Row:
    """The median of some samples and how far they spread."""
    return Row(name, statistics.median(samples), min(samples), max(samples), unit, target)


def seconds(action: Callable[[], object]) -> float:
    """How long `action()` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def table(title: str, rows: Sequence[Row]) -> str:
    """Aligned text, one row a line."""
    width = max(len(one.name) for one in rows)
    lines = [title, f"  {'':{width}}  {'median':>9} {'least':>9} {'most':>9}  target"]
    for one in rows:
        target = "" if one.target is None else f"{one.target:g} {one.verdict}"
        figures = f"{one.median:9.3f} {one.least:9.3f} {one.most:9.3f}"
        lines.append(f"  {one.name:{width}}  {figures}  {target} {one.unit}".rstrip())
    return "\n".join(lines)


def as_json(title: str, rows: Sequence[Row]) -> str:
    """The same for a program, on one line."""
    return json.dumps({"benchmark": title, "rows": [asdict(one) for one in rows]})
