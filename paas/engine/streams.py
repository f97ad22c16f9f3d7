"""The standard streams of a one-off container.

An anonymous pipe of the caller is handed to the container as it is, so that gigabytes
stream at the kernel's speed. Anything else is kept away from it: a terminal could be
typed into (TIOCSTI), a file or device reopened or given another owner. A pipe of ours, or
a pty, stands between.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from paas.engine.pump import Flow, Foreign, Own, Receiver
from paas.host.processes import Process
from paas.host.terminal import Terminal


@dataclass
class Streams:
    """What the container gets, and what is to be copied meanwhile."""

    given: list[int] = field(default_factory=list)
    """stdin, stdout, stderr of the runtime."""
    flows: list[Flow] = field(default_factory=list)
    to_close: list[int] = field(default_factory=list)
    """Ours, and the container's alone once it has them."""

    def release(self) -> None:
        """The container has its copies: an end of file must now reach the other side."""
        for descriptor in self.to_close:
            os.close(descriptor)
        self.to_close.clear()


def connect(stdin: int, stdout: int, stderr: int) -> Streams:
    """Streams of a container on a caller's descriptors."""
    streams = Streams()
    if is_anonymous_pipe(stdin):
        streams.given.append(stdin)
    else:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        streams.given.append(theirs)
        streams.to_close.append(theirs)
        streams.flows.append(Flow(stdin, Own(ours), essential=False))
    for descriptor in (stdout, stderr):
        if is_anonymous_pipe(descriptor):
            streams.given.append(descriptor)
        else:
            _add_output(streams, Foreign(descriptor))
    return streams


def collect(receive: Callable[[bytes], None]) -> Streams:
    """No input, and both outputs, in their order, to `receive`."""
    streams = Streams()
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    # Nobody writes: reading gives the end of file at once.
    os.close(ours)
    streams.given.append(theirs)
    streams.to_close.append(theirs)
    _add_output(streams, Receiver(receive))
    streams.given.append(streams.given[-1])
    return streams


def converse(
    given: bytes, output: Callable[[bytes], None], errors: Callable[[bytes], None]
) -> Streams:
    """`given` as its input, and each of its outputs to a function."""
    streams = Streams()
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    streams.given.append(theirs)
    streams.to_close.append(theirs)
    source = os.memfd_create("input", os.MFD_CLOEXEC)
    with open(os.dup(source), "wb") as file:  # noqa: PTH123  a descriptor
        file.write(given)
    os.lseek(source, 0, os.SEEK_SET)
    streams.flows.append(Flow(source, Own(ours), essential=False, close_source=True))
    _add_output(streams, Receiver(output))
    _add_output(streams, Receiver(errors))
    return streams


def is_anonymous_pipe(descriptor: int) -> bool:
    """A pipe(2), and no fifo with a name and an owner in some directory."""
    link = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    return link.startswith("pipe:")


def _add_output(streams: Streams, sink: Foreign | Receiver) -> None:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    streams.given.append(theirs)
    streams.to_close.append(theirs)
    streams.flows.append(Flow(ours, sink, essential=True, close_source=True))


class Console:
    """Receives the master of a container's pty from the runtime.

    Source: runc, docs/terminals.md, "Detached Pass-Through": the runtime connects to a
    socket and sends one descriptor.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)

    def receive(self, runtime: Process) -> int | None:
        """The master, close-on-exec; None when the runtime ended without sending one."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(runtime.pidfd, select.POLLIN)
        if self._listener.fileno() not in dict(poll.poll()):
            return None
        connection, _ = self._listener.accept()
        with connection:
            space = socket.CMSG_SPACE(array.array("i").itemsize)
            _, messages, _, _ = connection.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in messages:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                return int(array.array("i", payload)[0])
        return None

    def close(self) -> None:
        self._listener.close()
        self.path.unlink(missing_ok=True)


def connect_terminal(master: int, terminal: Terminal) -> list[Flow]:
    """Copy between a pty and the caller's terminal, and keep its window's size."""
    set_window(master, *terminal.size)
    terminal.on_resize(lambda size: set_window(master, *size))
    return [
        Flow(terminal.stdin, Own(master, close=False), essential=False),
        Flow(master, Foreign(terminal.stdout), essential=True),
    ]


def set_window(master: int, columns: int, rows: int) -> None:
    """ioctl_tty(2), TIOCSWINSZ."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
