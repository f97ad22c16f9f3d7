"""The machine's clock."""

from __future__ import annotations

from paas.host.clock import Clock, SystemClock


def test_never_goes_back() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.now() > 1_700_000_000
