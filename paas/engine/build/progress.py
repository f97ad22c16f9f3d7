"""The lines that tell how far a build is, as users of Docker know them."""

from __future__ import annotations

import threading

from paas.engine.build.instructions import Instruction
from paas.model.report import WIDTH, Report

INDENT = 7
"""Columns that `Report.detail` puts before a line."""
CACHED = "  CACHED"


class Count:
    """The steps of one build."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._number = 0

    def add(self, steps: int) -> None:
        """There are more steps than it seemed: triggers of a base image."""
        self.total += steps

    def next(self) -> int:
        """The number of the next step that begins."""
        self._number += 1
        return self._number


class Progress:
    """Says each step of one stage, once it is known whether it is cached."""

    def __init__(self, report: Report, count: Count) -> None:
        self.report = report
        self._count = count
        self._line = ""

    def add(self, steps: int) -> None:
        """There are more steps than it seemed: triggers of a base image."""
        self._count.add(steps)

    def begin(self, step: Instruction) -> None:
        """A step begins; it is said by `done`."""
        self._line = f"Step {self._count.next()}/{self._count.total} : {step.summary}"

    def done(self, *, cached: bool = False) -> None:
        """The step needs no work, or is about to be worked on."""
        room = WIDTH - INDENT - len(CACHED)
        line = self._line if len(self._line) <= room else self._line[: room - 1] + "…"
        self.report.detail(line + (CACHED if cached else ""))


class Woven:
    """A report of several threads: whole lines, each output with the name of its stage."""

    def __init__(self, report: Report, lock: threading.Lock, name: str) -> None:
        self._report = report
        self._lock = lock
        self._prefix = f"[{name}] ".encode()
        self._rest = b""

    def step(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._report.step(text)

    def result(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._report.result(text)

    def detail(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._report.detail(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        with self._lock:
            self._report.warn(text)

    def output(self, data: bytes) -> None:
        """Pass on the lines that are whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            with self._lock:
                self._report.output(b"".join(self._prefix + line + b"\n" for line in lines))

    def finish(self) -> None:
        """Pass on what is left of a last line."""
        if self._rest:
            self.output(b"\n")
