"""Text that somebody else's program wrote, made safe for a terminal.

Escape sequences set a terminal's title, answer as if typed, and overwrite what stands above:
only colours and their like (SGR) are let through. Source: ECMA-48, sections 5 and 8.3.117.
"""

from __future__ import annotations

import re

_COLOUR = r"\x1b\[[0-9;:]*m"
_RESET = "\x1b[0m"
_CONTROL = re.compile(
    rf"(?P<colour>{_COLOUR})"
    # Command strings (OSC, DCS, SOS, PM, APC) with all they hold, ended or not.
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    # Control sequences, then other escapes, then what is left of both sets of controls.
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    # What turns the direction of writing makes text read as another (CVE-2021-42574).
    r"|[\u202a-\u202e\u2066-\u2069]"
)


def harmless(text: str) -> str:
    """Without control characters but tab, newline and SGR, which each line ends."""
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    clean = _CONTROL.sub(lambda match: match["colour"] or "", line)
    return f"{clean}{_RESET}" if "\x1b" in clean and not clean.endswith(_RESET) else clean
