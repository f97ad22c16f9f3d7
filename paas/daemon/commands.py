"""Connections and the processes that serve them: the master's side of a command.

Entering a control group can take 15 ms (the kernel waits for an RCU grace period), a fork
of a large process a few more. So one process is always ready in its own group, waiting to
be given a connection; a command still has its process, and the process one command.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from paas.daemon import protocol
from paas.daemon.children import FAILED, Children
from paas.daemon.command import BUG, Handler, serve_command
from paas.daemon.peer import Admission
from paas.errors import PaasError
from paas.host import sockets

MAX_COMMANDS = 256
"""At one time. Each is a process: more than a team ever has, fewer than hurt."""

BUSY = 75
"""Exit code: try again later (EX_TEMPFAIL, sysexits.h)."""


@dataclass(eq=False)
class Clerk:
    """A process that serves one connection, once it is given one over `line`."""

    line: socket.socket
    connection: socket.socket | None = None


class Commands:
    """Gives each admitted connection to a process of its own."""

    def __init__(
        self,
        children: Children,
        admission: Admission,
        handler: Handler,
        log: Callable[[str], None],
    ) -> None:
        self._children = children
        self._admission = admission
        self._handler = handler
        self._log = log
        self._busy: set[Clerk] = set()
        self._ready: Clerk | None = None
        self._wanted = True
        self._hired = 0

    def prepare(self) -> None:
        """Have a process ready for the next connection, if the last one took it.

        One that died before it was needed is not replaced until then: if that is what
        they all do, forking more of them helps nobody.
        """
        if not self._wanted:
            return
        self._wanted = False
        try:
            self._ready = self._hire()
        except OSError as error:
            self._log(f"No process for the next command: {error.strerror}")

    def take(self, connection: socket.socket) -> None:
        """Serve a new connection, or tell it why not."""
        try:
            self._admission.check(sockets.peer_of(connection))
        except PaasError as error:
            dismiss(connection, error.code, str(error))
            return
        if len(self._busy) >= MAX_COMMANDS:
            dismiss(connection, BUSY, f"{MAX_COMMANDS} commands are running; try again later")
            return
        try:
            self._give(connection)
        except OSError as error:
            dismiss(connection, BUSY, f"No process for the command: {error.strerror}")

    def let_go(self) -> None:
        """In a child: close what belongs to the others."""
        for clerk in self._busy:
            if clerk.connection is not None:
                clerk.connection.close()
        if self._ready is not None:
            self._ready.line.close()

    def _give(self, connection: socket.socket) -> None:
        clerk, self._ready, self._wanted = self._ready, None, True
        if clerk is not None and hand_over(clerk, connection):
            self._busy.add(clerk)
            return
        clerk = self._hire(connection)
        self._busy.add(clerk)
        if not hand_over(clerk, connection):
            # It died already; `_dismissed` tells the client why.
            clerk.connection = connection

    def _hire(self, inherited: socket.socket | None = None) -> Clerk:
        """A new clerk; `inherited` is a connection that its process has a copy of."""
        ours, theirs = socket.socketpair()
        clerk = Clerk(ours)

        def work() -> int:
            ours.close()
            if inherited is not None:
                inherited.close()
            connection = receive_connection(theirs)
            if connection is None:
                return 0
            return serve_command(connection, self._admission, self._handler)

        self._hired += 1
        with theirs:
            self._children.fork(work, lambda code: self._ended(clerk, code), f"{self._hired}")
        return clerk

    def _ended(self, clerk: Clerk, code: int) -> None:
        clerk.line.close()
        self._busy.discard(clerk)
        if clerk is self._ready:
            self._ready = None
        if clerk.connection is None:
            return
        if code == 0:
            clerk.connection.close()  # the command has said itself how it ended
        else:
            dismiss(clerk.connection, *obituary(code))


def hand_over(clerk: Clerk, connection: socket.socket) -> bool:
    """Give a clerk its connection; False when it is not alive."""
    try:
        sockets.send(clerk.line, {}, [connection.fileno()])
    except sockets.PeerGone:
        return False
    finally:
        clerk.line.close()
    clerk.connection = connection
    return True


def receive_connection(line: socket.socket) -> socket.socket | None:
    """The clerk's side: wait for the connection; None when there will be none."""
    with line:
        try:
            frame = sockets.Receiver(line).receive()
        except sockets.PeerGone:
            return None
    return socket.socket(fileno=frame.descriptors[0])


def dismiss(connection: socket.socket, code: int, message: str) -> None:
    """Answer without waiting for a client that may not read, and hang up."""
    connection.settimeout(0)
    with connection, suppress(sockets.PeerGone, BlockingIOError):
        if message:
            sockets.send(connection, protocol.say_frame(message))
        sockets.send(connection, protocol.exit_frame(code))


def obituary(code: int) -> tuple[int, str]:
    """What to tell the client of a command that could not speak for itself."""
    if code < 0:
        name = signal.Signals(-code).name
        return 128 - code, f"The command was killed on the server by {name}"
    if code == FAILED:
        return BUG, "The command could not be started; paasd's log has the trace"
    return code, ""
