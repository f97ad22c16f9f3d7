"""What came of a command: its exit code and both streams, and how to wait for a fact."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

COMMAND_SECONDS = 250.0
"""What a command may take that makes images with what it fetches, on a busy machine."""

HANG_SECONDS = 100.0
LEAST_POLL_SECONDS, MOST_POLL_SECONDS = 0.05, 0.5


@dataclass(frozen=True)
class Outcome:
    """A command that ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")

    @property
    def text(self) -> str:
        """Both streams, without the `remote: ` that git puts before lines."""
        lines = (self.out + self.err).splitlines()
        return "\n".join(line.removeprefix("remote: ").rstrip() for line in lines)

    def ok(self) -> Outcome:
        """Itself, when it succeeded; fails the test with its output otherwise."""
        assert self.code == 0, f"exit {self.code}\n{self.text}"
        return self

    def failed(self, code: int = 1) -> Outcome:
        """Itself, when it ended with `code` and without a traceback."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self.text}"
        assert "Traceback" not in self.text, self.text
        return self


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    input: bytes = b"",
    cwd: Path | None = None,
    timeout: float = COMMAND_SECONDS,
) -> Outcome:
    """Run a command to its end with exactly this environment."""
    done = subprocess.run(
        argv, env=env, input=input, cwd=cwd, timeout=timeout, capture_output=True, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def eventually(fact: Callable[[], T]) -> T:
    """Poll until `fact()` is true and return it; the last assertion or value is shown.

    Nothing is fast because of its limit: it ends what hangs. What takes long is asked for
    seldom, since to ask may take a program, and others wait for the processor.
    """
    began = time.monotonic()
    while True:
        try:
            value = fact()
            problem: object = f"still {value!r}"
        except (AssertionError, OSError) as error:
            value, problem = None, error
        if value:
            return value
        waited = time.monotonic() - began
        assert waited < HANG_SECONDS, f"not within {HANG_SECONDS} s: {problem}"
        time.sleep(min(max(waited / 10, LEAST_POLL_SECONDS), MOST_POLL_SECONDS))
