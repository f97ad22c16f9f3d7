"""How a long operation tells its progress, in the output grammar of Heroku and Dokku.

Nothing below `paas.cli` prints. Whoever does something long takes a `Report`; the one
who owns the user's descriptors decides where the lines go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Write = Callable[[bytes], None]

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


class Lines:
    """The output grammar as bytes, handed to whoever owns a descriptor or a log.

    `warn` takes the warnings; where it is not given they go the way of everything else
    (git shows one stream only, and a kept deploy log wants them in order).
    """

    def __init__(self, out: Write, warn: Write | None = None) -> None:
        self._out = out
        self._warn = warn or out

    def step(self, text: str) -> None:
        """Write `-----> text`."""
        self._out(prefixed("-----> ", text))

    def result(self, text: str) -> None:
        """Write `=====> text`."""
        self._out(prefixed("=====> ", text))

    def detail(self, text: str) -> None:
        """Write the text after seven spaces."""
        self._out(prefixed("       ", text))

    def warn(self, text: str) -> None:
        """Write ` !     text`."""
        self._warn(prefixed(" !     ", text))

    def output(self, data: bytes) -> None:
        """Write the bytes as they came."""
        self._out(data)


def prefixed(prefix: str, text: str) -> bytes:
    """Every line of `text` behind `prefix`; an empty text is one empty line.

    Bytes that were no text when read (file names of any encoding) come out unchanged.
    """
    lines = text.splitlines() or [""]
    whole = "".join(f"{prefix}{line}".rstrip() + "\n" for line in lines)
    return whole.encode("utf-8", "surrogateescape")
