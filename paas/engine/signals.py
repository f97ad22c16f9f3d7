"""Signals by the names that people give them."""

from __future__ import annotations

import signal

from paas.errors import PaasError


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM` or `15` as a number. Raises `PaasError` for none of these."""
    text = name.strip().upper()
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except KeyError:
        raise PaasError(
            f"{name} is not a signal",
            resolution="Use a name such as SIGTERM or SIGQUIT in STOPSIGNAL.",
        ) from None
