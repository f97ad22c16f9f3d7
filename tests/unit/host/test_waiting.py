"""Waiting with an end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from paas.host.waiting import TookTooLong, at_most


def test_what_waits_too_long_is_ended_wherever_it_waits() -> None:
    read, write = os.pipe()
    began = time.monotonic()
    try:
        with pytest.raises(TookTooLong), at_most(0.05):
            os.read(read, 1)
    finally:
        os.close(read)
        os.close(write)
    assert 0.04 < time.monotonic() - began < 5


def test_what_ends_in_time_is_left_alone_and_so_is_an_earlier_timer() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    before = signal.setitimer(signal.ITIMER_REAL, 900)
    try:
        with at_most(30):
            pass
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 890 < left <= 900
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
