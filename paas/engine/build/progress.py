"""The lines that tell how far a build is, as users of Docker know them."""

from __future__ import annotations

from paas.engine.build.instructions import Instruction
from paas.model.report import WIDTH, Report

INDENT = 7
"""Columns that `Report.detail` puts before a line."""
CACHED = "  CACHED"


class Progress:
    """Counts the steps of one build and says each, once it is known whether it is cached."""

    def __init__(self, report: Report, total: int) -> None:
        self.report = report
        self._total = total
        self._number = 0
        self._line = ""

    def add(self, steps: int) -> None:
        """There are more steps than it seemed: triggers of a base image."""
        self._total += steps

    def begin(self, step: Instruction) -> None:
        """A step begins; it is said by `done`."""
        self._number += 1
        self._line = f"Step {self._number}/{self._total} : {step.summary}"

    def done(self, *, cached: bool = False) -> None:
        """The step needs no work, or is about to be worked on."""
        room = WIDTH - INDENT - len(CACHED)
        line = self._line if len(self._line) <= room else self._line[: room - 1] + "…"
        self.report.detail(line + (CACHED if cached else ""))
