"""Writing to descriptors that belong to somebody else: whole, and not for ever."""

from __future__ import annotations

import errno
import os
import select

GONE = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET})
"""What writing fails with when a pipe, a terminal or a socket has no reader."""


def write_all(descriptor: int, data: bytes, patience_s: float | None = None) -> None:
    """Write all of `data`. Raises `BrokenPipeError` when nobody reads any more.

    The descriptor is its owner's: it may be non-blocking already, and is not made so. With
    `patience_s`, a reader that takes nothing for so many seconds counts as gone.
    """
    # A pipe that poll(2) calls writable takes PIPE_BUF bytes at once (pipe(7)): a larger
    # write could hang on a blocking one.
    most = len(data) if patience_s is None else select.PIPE_BUF
    view = memoryview(data)
    while view:
        if patience_s is not None:
            _await_room(descriptor, patience_s)
        try:
            view = view[os.write(descriptor, view[:most]) :]
        except BlockingIOError:
            _await_room(descriptor, patience_s)
        except OSError as error:
            if error.errno in GONE:
                raise BrokenPipeError(*error.args) from error
            raise


def _await_room(descriptor: int, patience_s: float | None) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(None if patience_s is None else patience_s * 1000):
        raise BrokenPipeError(errno.EPIPE, "The reader takes nothing")
