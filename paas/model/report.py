"""How a long operation tells its progress, in the output grammar of Heroku and Dokku.

Nothing below `paas.cli` prints. Whoever does something long takes a `Report`; the one
who owns the user's descriptors decides where the lines go.
"""

from __future__ import annotations

from typing import Protocol

WIDTH = 72
"""Columns a line keeps to: git puts `remote: ` before each (PEERS, output grammar)."""


class Report(Protocol):
    """Receives progress. Text has no newline at its end; a multi-line text is split."""

    def step(self, text: str) -> None:
        """`-----> text`: a step begins."""

    def result(self, text: str) -> None:
        """`=====> text`: a heading or an outcome."""

    def detail(self, text: str) -> None:
        """Seven spaces and the text: what belongs to the last step."""

    def warn(self, text: str) -> None:
        """` !     text`, on standard error."""

    def output(self, data: bytes) -> None:
        """Raw output of a build step, as it came; may end in the middle of a line."""


class Silent:
    """A report for operations nobody watches."""

    def step(self, text: str) -> None:
        """Drop it."""

    def result(self, text: str) -> None:
        """Drop it."""

    def detail(self, text: str) -> None:
        """Drop it."""

    def warn(self, text: str) -> None:
        """Drop it."""

    def output(self, data: bytes) -> None:
        """Drop it."""
