"""Copies between the descriptors of a caller and those of a one-off container.

One loop, no thread. What is ours (a pipe, the master of a pty) is non-blocking; what is
the caller's is shared with his shell and left as it is, so it is written to in pieces
that a ready descriptor takes without blocking (pipe(7), PIPE_BUF).
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable, Iterable
from typing import Protocol

CHUNK = 65536
_ENDED = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Sink(Protocol):
    """Where a flow goes to."""

    def fileno(self) -> int | None:
        """What to poll before writing; None when it always takes more."""

    def write(self, data: bytes) -> int:
        """Take some of it and return how much. Raises `OSError` when it takes no more."""

    def close(self) -> None:
        """The flow has ended."""


class Receiver:
    """A sink that calls a function."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive

    def fileno(self) -> int | None:
        return None

    def write(self, data: bytes) -> int:
        self._receive(data)
        return len(data)

    def close(self) -> None:
        """Nothing to close."""


class Foreign:
    """A sink that is a descriptor of the caller."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        never_blocks = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._piece = CHUNK if never_blocks else select.PIPE_BUF

    def fileno(self) -> int | None:
        return self._descriptor

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data[: self._piece])

    def close(self) -> None:
        """It stays open: it is the caller's."""


class Own:
    """A sink that is a non-blocking descriptor of ours."""

    def __init__(self, descriptor: int, *, close: bool = True) -> None:
        """`close` when the flow ends; not for a pty, whose other direction goes on."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._close = close

    def fileno(self) -> int | None:
        return self._descriptor

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        if self._close:
            os.close(self._descriptor)


class Flow:
    """One direction. `essential` ones are copied to their end after the container's."""

    def __init__(
        self, source: int, sink: Sink, *, essential: bool, close_source: bool = False
    ) -> None:
        self.source = source
        self.essential = essential
        self.open = True
        self._sink = sink
        self._close_source = close_source
        self._buffer = b""

    @property
    def interest(self) -> tuple[int, int] | None:
        """What to poll for; None when it can go on at once."""
        if not self._buffer:
            return self.source, select.POLLIN
        descriptor = self._sink.fileno()
        return None if descriptor is None else (descriptor, select.POLLOUT)

    def advance(self) -> None:
        """Do what the poll said is possible."""
        try:
            if not self._buffer:
                self._buffer = self._read()
                if not self._buffer:
                    self.end()
            else:
                self._buffer = self._buffer[self._sink.write(self._buffer) :]
        except (BrokenPipeError, ConnectionResetError):
            # Nobody reads any more; the writer learns it from its own descriptor.
            self.end()

    def end(self) -> None:
        if self.open:
            self.open = False
            self._sink.close()
            if self._close_source:
                os.close(self.source)

    def _read(self) -> bytes:
        try:
            return os.read(self.source, CHUNK)
        except OSError as error:
            # A pty whose other end was closed by all; a terminal that hung up.
            if error.errno == errno.EIO:
                return b""
            raise


class Pump:
    """Runs flows until a process has ended and its output is copied."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows = list(flows)

    def run(self, ended: int, deadline: float | None) -> bool:
        """Copy until the pidfd `ended` is readable and essential flows are at their end.

        False when `deadline` (monotonic seconds) came first.
        """
        over = False
        while not over or any(flow.open and flow.essential for flow in self._flows):
            timeout = None if deadline is None else deadline - time.monotonic()
            if timeout is not None and timeout <= 0:
                return False
            over = self._turn(None if over else ended, timeout) or over
        return True

    def close(self) -> None:
        for flow in self._flows:
            flow.end()

    def _turn(self, ended: int | None, timeout: float | None) -> bool:
        """One poll; True when the process has ended."""
        poll = select.poll()
        events: dict[int, int] = {ended: select.POLLIN} if ended is not None else {}
        ready: list[Flow] = []
        waiting: list[tuple[int, int, Flow]] = []
        for flow in self._flows:
            if flow.open and (ended is not None or flow.essential):
                interest = flow.interest
                if interest is None:
                    ready.append(flow)
                else:
                    waiting.append((*interest, flow))
                    events[interest[0]] = events.get(interest[0], 0) | interest[1]
        for descriptor, mask in events.items():
            poll.register(descriptor, mask)
        milliseconds = 0 if ready else None if timeout is None else timeout * 1000
        answers = dict(poll.poll(milliseconds))
        ready += [flow for fd, mask, flow in waiting if answers.get(fd, 0) & (mask | _ENDED)]
        for flow in ready:
            flow.advance()
        return ended is not None and ended in answers
