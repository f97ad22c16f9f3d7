"""`--chmod`: octal, or symbolic as chmod(1) has it (POSIX, chmod, "Operands")."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass

from paas.engine.build.errors import Location

_OCTAL = re.compile(r"[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


@dataclass(frozen=True)
class Mode:
    """A change of permission bits; `text` is how it was written."""

    text: str

    def of(self, mode: int) -> int:
        """The permission bits of a file whose st_mode is `mode`."""
        if _OCTAL.fullmatch(self.text):
            return int(self.text, 8)
        bits = stat.S_IMODE(mode)
        for clause in self.text.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                raise ValueError(f"{self.text} was not checked")
            # Without a `who` it is all of them: a build has no umask.
            who = "ugo" if not match[1] or "a" in match[1] else match[1]
            for action in _ACTION.finditer(match[2]):
                bits = _changed(bits, who, action[1], action[2], is_dir=stat.S_ISDIR(mode))
        return bits


def parse_mode(text: str, at: Location) -> Mode | None:
    """`--chmod`, None if it is not given. Raises `DockerfileError`."""
    if not text:
        return None
    if _OCTAL.fullmatch(text) or all(_CLAUSE.fullmatch(one) for one in text.split(",")):
        return Mode(text)
    raise at.error(
        f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
        resolution="Or symbolic, like u=rwX,go=rX.",
    )


def _changed(bits: int, who: str, operator: str, what: str, *, is_dir: bool) -> int:
    given = 0
    for one in what:
        if one in _SHIFT:
            copied = (bits >> _SHIFT[one]) & 0o7
            given |= copied * 0o111
        elif one in _BITS:
            given |= _BITS[one]
        elif one == "X" and (is_dir or bits & 0o111):
            given |= 0o111
        elif one == "s":
            given |= 0o6000
        elif one == "t":
            given |= 0o1000
    mask = 0
    for one in who:
        mask |= _WHO[one]
    given &= mask | (0o1000 if who == "ugo" else 0)
    if operator == "+":
        return bits | given
    if operator == "-":
        return bits & ~given
    # `=` leaves setuid and setgid of directories alone, as GNU chmod does.
    kept = bits & 0o6000 if is_dir else 0
    return (bits & ~mask) | given | kept
