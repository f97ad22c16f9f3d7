"""Copying between descriptors, and when it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from paas.engine.pump import Flow, Foreign, Own, Pump, Receiver
from paas.host import processes

Pipe = tuple[int, int]


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    made = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    yield made
    for descriptor in (end for pipe in made for end in pipe):
        with suppress(OSError):
            os.close(descriptor)


def test_a_deadline_ends_it(pipes: list[Pipe]) -> None:
    child = processes.spawn(["sleep", "600"])
    before = time.monotonic()
    flow = Flow(pipes[0][0], Receiver([].append), essential=True)
    assert not Pump([flow]).run(child.pidfd, before + 0.05)
    assert time.monotonic() - before < 60
    child.kill()
    child.wait()


def test_a_reader_that_is_gone_ends_the_flow_alone(pipes: list[Pipe]) -> None:
    (source, feed), (gone, sink) = pipes
    os.close(gone)
    os.write(feed, b"data")
    flow = Flow(source, Own(sink), essential=True)
    child = processes.spawn(["true"])
    assert Pump([flow]).run(child.pidfd, time.monotonic() + 60)
    assert not flow.open
    child.wait()


def test_what_was_written_before_the_end_is_copied(pipes: list[Pipe]) -> None:
    source, feed = pipes[0]
    seen: list[bytes] = []
    child = processes.spawn(["sh", "-c", "seq 1 20000"], stdout=feed)
    os.close(feed)
    assert Pump([Flow(source, Receiver(seen.append), essential=True)]).run(child.pidfd, None)
    assert b"".join(seen).endswith(b"20000\n")
    child.wait()


def test_input_that_never_ends_is_not_waited_for(pipes: list[Pipe]) -> None:
    (source, _), (_, sink) = pipes
    child = processes.spawn(["true"])
    assert Pump([Flow(source, Own(sink), essential=False)]).run(child.pidfd, time.monotonic() + 60)
    child.wait()


def test_the_end_of_input_is_passed_on(pipes: list[Pipe]) -> None:
    (source, feed), (out, sink) = pipes
    os.write(feed, b"all")
    os.close(feed)
    child = processes.spawn(["cat"], stdin=out)
    os.close(out)
    flow = Flow(source, Own(sink), essential=False)
    assert Pump([flow]).run(child.pidfd, time.monotonic() + 60)
    assert child.wait() == 0


def test_a_full_pipe_holds_the_others_up_in_nothing(pipes: list[Pipe]) -> None:
    (source, feed), (_unread, sink) = pipes
    os.set_blocking(feed, False)
    seen: list[bytes] = []
    output, theirs = os.pipe2(os.O_CLOEXEC)
    with suppress(BlockingIOError):
        while True:
            os.write(feed, b"x" * 4096)
    # The input has nowhere to go; the output comes all the same.
    child = processes.spawn(["sh", "-c", "sleep 0.1; echo done"], stdout=theirs)
    os.close(theirs)
    flows = [
        Flow(source, Own(sink), essential=False),
        Flow(output, Receiver(seen.append), essential=True, close_source=True),
    ]
    assert Pump(flows).run(child.pidfd, time.monotonic() + 60)
    assert b"".join(seen) == b"done\n"
    child.wait()


def test_the_callers_descriptors_are_neither_closed_nor_changed(pipes: list[Pipe]) -> None:
    (source, feed), (out, sink) = pipes
    os.write(feed, b"text")
    os.close(feed)
    child = processes.spawn(["true"])
    pump = Pump([Flow(source, Foreign(sink), essential=True)])
    assert pump.run(child.pidfd, time.monotonic() + 60)
    pump.close()
    assert os.get_blocking(sink)
    assert os.read(out, 10) == b"text"
    os.fstat(source)
    child.wait()
