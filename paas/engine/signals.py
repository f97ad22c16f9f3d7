"""Signals by the names that people give them."""

from __future__ import annotations

import re
import signal

from paas.errors import PaasError

_REALTIME = re.compile(r"(RTMIN|RTMAX)([+-][0-9]{1,2})")
"""signal(7); systemd in a container ends by SIGRTMIN+3."""


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM`, `15` or `SIGRTMIN+3` as a number. Raises `PaasError` for none of these."""
    text = name.strip().upper().removeprefix("SIG")
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    realtime = _REALTIME.fullmatch(text)
    if realtime is not None:
        number = int(signal.Signals[f"SIG{realtime[1]}"]) + int(realtime[2])
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    try:
        return signal.Signals[f"SIG{text}"]
    except KeyError:
        raise PaasError(
            f"{name} is not a signal",
            resolution="Use a name such as SIGTERM or SIGQUIT in STOPSIGNAL.",
        ) from None
