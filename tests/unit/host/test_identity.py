"""Processes known for certain."""

from __future__ import annotations

import os
import signal
import threading

from paas.host import identity, processes
from paas.host.identity import Identity


def test_nobody_has_an_id_that_is_free() -> None:
    assert Identity.of(2**22 + 1) is None
    gone = Identity(2**22 + 1, 1)
    assert gone.open() is None
    assert not gone.signal(signal.SIGKILL)
    assert gone.wait(None)
    assert identity.namespace_depth(gone.pid) == 0


def test_what_has_a_number_and_is_no_process_is_nobody() -> None:
    """A thread has; so has, for a moment, a process that ends."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert identity.open_pid(thread.native_id or 0) is None
    finally:
        over.set()
        thread.join()


def test_another_with_the_same_id_is_left_alone() -> None:
    me = Identity.current()
    before = Identity(me.pid, me.started - 1)
    assert before.open() is None
    assert not before.signal(signal.SIGKILL)
    assert before.wait(0)


def test_one_that_runs_and_then_is_a_zombie() -> None:
    child = processes.spawn(["sleep", "60"])
    known = Identity.of(child.pid)
    assert known is not None
    assert child.pid in identity.children()
    assert identity.namespace_depth(child.pid) >= 1
    assert not known.wait(0)
    assert known.signal(signal.SIGKILL)
    assert known.wait(10)
    # Not reaped yet: it has an id, and has ended all the same.
    assert Identity.of(child.pid) == known
    child.wait()
    assert child.pid not in identity.children()


def test_a_name_may_hold_parentheses_and_spaces() -> None:
    child = processes.spawn(["sh", "-c", "printf 'a) b (c' > /proc/$$/comm; kill -STOP $$; exit"])
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    known = Identity.of(child.pid)
    assert known is not None
    assert known.signal(signal.SIGKILL)
    child.wait()


def test_one_that_does_not_want_to_end_is_killed() -> None:
    child = processes.spawn(["sh", "-c", "trap '' TERM; kill -STOP $$; sleep 60 & wait; wait"])
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    known = Identity.of(child.pid)
    assert known is not None
    assert known.signal(signal.SIGCONT)
    known.end(0.05)
    assert known.wait(0)
    assert child.wait() == -signal.SIGKILL
