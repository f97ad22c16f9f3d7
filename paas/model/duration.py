"""Lengths of time as people type them."""

from __future__ import annotations

import re

from paas.errors import PaasError
from paas.model.names import shown

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_SECONDS = 366 * 86400


class InvalidDuration(PaasError):
    """The text is no length of time."""


def parse_duration(text: str) -> float:
    """Seconds: of `90`, `90s`, `15m`, `2h`, `7d`; more than none. Raises `InvalidDuration`."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= MOST_SECONDS:
        raise InvalidDuration(
            f"{shown(text)} is not a length of time",
            resolution="Write it like 90s, 15m, 2h or 7d; at most 366 days.",
        )
    return float(seconds)
