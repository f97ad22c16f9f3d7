"""The command's end of the line to its client.

The command is ordinary single-threaded Python that may be in the middle of anything, so
the connection announces itself by SIGIO (fcntl(2), O_ASYNC): its handler reads what came
and raises the forwarded signal in this very process, where Python's own rules apply.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from paas.daemon import protocol
from paas.errors import PaasError
from paas.host import sockets


class ClientChannel:
    """Implements `paas.model.request.Channel` over a connection."""

    def __init__(self, connection: socket.socket, receiver: sockets.Receiver) -> None:
        self._connection = connection
        self._receiver = receiver
        self._arrived: deque[signal.Signals] = deque()
        self._closed = False
        self._on_close: list[Callable[[], None]] = []
        self._on_resize: list[Callable[[], None]] = []

    def open(self) -> None:
        """Begin to listen; from here on a signal of the client interrupts this process."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda number, _: end_by(number))
        signal.signal(signal.SIGWINCH, lambda *_: self._resized())
        signal.signal(signal.SIGIO, lambda *_: self._receive())
        fcntl.fcntl(self._connection, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(self._connection, fcntl.F_GETFL)
        fcntl.fcntl(self._connection, fcntl.F_SETFL, flags | os.O_ASYNC)
        self._receive()  # what came before O_ASYNC was set announced nothing

    @property
    def closed(self) -> bool:
        return self._closed

    def fileno(self) -> int:
        return self._connection.fileno()

    def on_close(self, callback: Callable[[], None]) -> None:
        self._on_close.append(callback)
        if self._closed:
            callback()

    def end_with_client(self) -> None:
        self.on_close(lambda: end_by(signal.SIGHUP))

    def on_resize(self, callback: Callable[[], None]) -> None:
        self._on_resize.append(callback)

    def set_raw(self, *, on: bool) -> None:
        self._send(protocol.raw_frame(on=on))

    def deafen(self) -> None:
        """Let nothing of the client interrupt this process any more."""
        for number in (signal.SIGIO, *protocol.FORWARDED):
            signal.signal(number, signal.SIG_IGN)

    def finish(self, code: int, message: str = "") -> None:
        """Tell the client how the command ended; `message` only if nobody else has."""
        if message:
            self._send(protocol.say_frame(message))
        self._send(protocol.exit_frame(code))

    def _send(self, frame: dict[str, sockets.Json]) -> None:
        try:
            sockets.send(self._connection, frame)
        except sockets.PeerGone:
            self._closed = True  # nobody is left to be told

    def _receive(self) -> None:
        gone = False
        try:
            for frame in self._receiver.receive_waiting():
                self._arrived.append(protocol.parse_signal(frame))
        except PaasError:
            # It left, or it is no client of ours any more: the same to the command.
            gone = True
        while self._arrived:
            signal.raise_signal(self._arrived.popleft())
        if gone and not self._closed:
            self._closed = True
            for callback in list(self._on_close):
                callback()

    def _resized(self) -> None:
        for callback in self._on_resize:
            callback()


def end_by(number: int) -> NoReturn:
    """End this process as a shell reports a signal: 128 and its number."""
    raise SystemExit(128 + number)
