"""The caller's terminal, seen from a command on the server.

A container is never given it: it gets a pty of its own (a process could push input into
its owner's shell by TIOCSTI), and whoever copies between the two asks here for the window
size and for raw mode. Mode is changed by the client alone, which restores it however it
ends. Source: tty_ioctl(4).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paas.model.request import Channel, TerminalSize

DEFAULT_SIZE = TerminalSize(80, 24)
"""Of a terminal that does not know its own (a serial line says 0 by 0)."""


def is_terminal(*descriptors: int) -> bool:
    """Whether every one is a terminal. A closed descriptor is none."""
    return all(os.isatty(descriptor) for descriptor in descriptors)


def window_size(descriptor: int) -> TerminalSize:
    """The window of the terminal `descriptor`. Raises `OSError` (ENOTTY) for another file."""
    columns, rows = os.get_terminal_size(descriptor)
    return TerminalSize(columns or DEFAULT_SIZE.columns, rows or DEFAULT_SIZE.rows)


class Terminal:
    """The three descriptors of a caller and the line to its client."""

    def __init__(self, stdin: int, stdout: int, stderr: int, channel: Channel) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._channel = channel

    @property
    def isatty(self) -> bool:
        """Whether a person types and reads: stdin and stdout are both terminals."""
        return is_terminal(self.stdin, self.stdout)

    @property
    def size(self) -> TerminalSize:
        """The window as it is now. Raises `OSError` (ENOTTY) unless `isatty`."""
        return window_size(self.stdout)

    def on_resize(self, callback: Callable[[TerminalSize], None]) -> None:
        """Call with the new size after each change of the window."""
        self._channel.on_resize(lambda: callback(self.size))

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Keys go through uninterpreted, ^C too, until the block is left."""
        self._channel.set_raw(on=True)
        try:
            yield
        finally:
            self._channel.set_raw(on=False)
