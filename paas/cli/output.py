"""Where a command's words go: progress in the output grammar, and data as it is.

Progress is for whoever still watches: when the reader is gone it is dropped, so that a
deploy comes to a clean end. Data is the answer itself: without a reader there is nothing
left to do, and `BrokenPipeError` ends the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from paas.host.streams import write_all
from paas.host.terminal import is_terminal
from paas.model.harmless import harmless
from paas.model.report import Lines, Report

Write = Callable[[bytes], None]

LONGEST_LINE = 1 << 20
"""Bytes: more of one line are not waited for."""


class Output:
    """The caller's standard output and error."""

    def __init__(self, stdout: int, stderr: int, *, quiet: bool = False) -> None:
        self._stdout = stdout
        self._guarded = is_terminal(stdout)
        self._begun = b""
        lines = Quiet if quiet else Lines
        self.report: Report = lines(_while_read(stdout), _while_read(stderr))

    def data(self, data: bytes) -> None:
        """Write bytes to standard output. Raises `BrokenPipeError`."""
        write_all(self._stdout, data)

    def foreign(self, data: bytes) -> None:
        """Write what somebody else's program wrote, whole lines at a time.

        To a terminal without what would reprogram it, else byte by byte as it came. Empty
        `data` ends a last line that has no end. Raises `BrokenPipeError`.
        """
        if not self._guarded:
            self.data(data)
            return
        whole, newline, self._begun = (self._begun + data).rpartition(b"\n")
        if not data or len(self._begun) > LONGEST_LINE:
            whole, newline, self._begun = whole + newline + self._begun, b"", b""
        if whole or newline:
            self.data(harmless(whole.decode("utf-8", "replace")).encode() + newline)

    def line(self, text: str) -> None:
        """Write a line to standard output. Raises `BrokenPipeError`."""
        self.data(f"{text}\n".encode("utf-8", "surrogateescape"))

    def json(self, value: object) -> None:
        """Write JSON on one line. Raises `BrokenPipeError`."""
        self.line(json.dumps(value, ensure_ascii=False))

    def names(self, names: Sequence[str], form: str) -> None:
        """Write one name a line, or all of them as JSON. Raises `BrokenPipeError`."""
        if form == "json":
            self.json(names)
            return
        for name in names:
            self.line(name)


class Quiet(Lines):
    """Warnings alone: for scripts, which read the data."""

    def step(self, text: str) -> None:
        """Drop it."""

    def result(self, text: str) -> None:
        """Drop it."""

    def detail(self, text: str) -> None:
        """Drop it."""

    def output(self, data: bytes) -> None:
        """Drop it."""


def columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The rows as lines, all but the last column padded to the same width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(padded).rstrip()


def moment(seconds: float) -> str:
    """A time since the epoch, for people: `2026-08-01 12:00:00 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _while_read(descriptor: int) -> Write:
    """Writes to `descriptor` until its reader is gone; then drops."""
    reading = True

    def write(data: bytes) -> None:
        nonlocal reading
        if reading:
            reading = False
            with suppress(BrokenPipeError):
                write_all(descriptor, data)
                reading = True

    return write
