"""How the driver says that a buildpack did not do its part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.errors import PaasError

FAILED = "failed"
"""The file of the results that holds one line: phase, buildpack, exit code."""

DETECT = "detect"
PHASES = frozenset({DETECT, "compile", "export", "release", "dependencies"})
_MEANINGS = {
    126: ", it cannot be executed",
    127: ", a command was not found",
    137: ", it was killed",
    139: ", it crashed",
}


class BuildpackFailed(PaasError):
    """A program of a buildpack ended with an error."""


@dataclass(frozen=True)
class Failure:
    """Which program of which buildpack ended how."""

    phase: str
    pack: str
    code: int

    @property
    def not_detected(self) -> bool:
        """It does not recognise the app, which is no error while others may."""
        return self.phase == DETECT

    def error(self, output: Sequence[str] = ()) -> BuildpackFailed:
        """The error to raise; `output` is the end of what it printed."""
        if self.not_detected:
            return BuildpackFailed(
                f"The {self.pack} buildpack does not recognise this app (bin/detect said no)",
                output,
                "Check the files it looks for, and .buildpacks or app.json if they name it.",
            )
        meaning = _MEANINGS.get(self.code, "")
        return BuildpackFailed(
            f"The {self.pack} buildpack failed: bin/{self.phase}: exit code {self.code}{meaning}",
            output,
            "Mend what its last lines say, commit and push again.",
        )


def parse_failure(text: str) -> Failure | None:
    """Read the line; None for anything else: it is within reach of what was run."""
    words = text.split()
    if len(words) != 3 or words[0] not in PHASES or not words[2].isdecimal():
        return None
    return Failure(words[0], words[1][:64], int(words[2][:3]))
