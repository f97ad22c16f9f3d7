"""paasd's master: accepts, checks who it is, forks. It does nothing that could wait.

It has one thread, opens no database and reads nothing from a client; whatever takes time
or parses anything happens in a child. Thus no client can hold up another, and a child
starts from a process that has imported everything and holds nothing.
"""

from __future__ import annotations

import errno
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from paas.daemon import protocol
from paas.daemon.children import ALL, FAILED, STOPPING, Cells, Children
from paas.daemon.command import BUG, Handler, serve_command
from paas.daemon.peer import Admission
from paas.daemon.resident import Keeper, Resident
from paas.errors import PaasError
from paas.host import sockets
from paas.host.files import FileLock

MAX_COMMANDS = 256
"""At one time. Each is a process: more than a team ever has, fewer than hurt."""

STOP_SECONDS = 10.0
"""Between SIGTERM and SIGKILL for what runs when the master is asked to stop."""

ACCEPTS = 16
"""Connections taken in one turn, so that ends and signals get theirs."""

BUSY = 75
"""Exit code: try again later (EX_TEMPFAIL, sysexits.h)."""

Log = Callable[[str], None]


class Master:
    """One per PaaS: whoever makes it holds `lock`."""

    def __init__(
        self,
        listener: socket.socket,
        lock: FileLock,
        *,
        admission: Admission,
        cells: Cells,
        handler: Handler,
        residents: Sequence[Resident],
        log: Log,
    ) -> None:
        self._listener = listener
        self._lock = lock
        self._admission = admission
        self._cells = cells
        self._handler = handler
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._connections: set[socket.socket] = set()
        self._children = Children(self._selector, cells, self._let_go)
        self._keepers = [Keeper(resident, self._children, log) for resident in residents]
        self._served = 0
        self._stopping = False

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, then end what runs. `ready` is called once."""
        # What the commands of a killed predecessor left behind.
        self._cells.kill(ALL)
        self._selector.register(self._wake[0], selectors.EVENT_READ, self._woken)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._heed_signals()
        freeze()
        ready()
        while not self._stopping:
            for keeper in self._keepers:
                keeper.start_if_due()
            self._turn(self._next_due())
        self._stop()

    def _turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds for something, and do what it asks for."""
        for key, _ in self._selector.select(timeout):
            key.data()

    def _next_due(self) -> float | None:
        dues = [keeper.due for keeper in self._keepers if keeper.due is not None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    # -- commands -------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    raise
                continue
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        try:
            self._admission.check(sockets.peer_of(connection))
        except PaasError as error:
            dismiss(connection, error.code, str(error))
            return
        if len(self._connections) >= MAX_COMMANDS:
            dismiss(connection, BUSY, f"{MAX_COMMANDS} commands are running; try again later")
            return
        self._start(connection)

    def _start(self, connection: socket.socket) -> None:
        def work() -> int:
            return serve_command(connection, self._admission, self._handler)

        def ended(code: int) -> None:
            self._connections.remove(connection)
            if code == 0:
                connection.close()  # the command has said itself how it ended
            else:
                dismiss(connection, *obituary(code))

        self._served += 1
        try:
            self._children.fork(work, ended, f"{self._served}")
        except OSError as error:
            dismiss(connection, BUSY, f"No process for the command: {error.strerror}")
            return
        self._connections.add(connection)

    # -- the end, and what a child does not keep -------------------------------------------

    def _heed_signals(self) -> None:
        for number in STOPPING:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wake[1])

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake[0], 64)
        self._stopping = True

    def _stop(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        self._children.signal_all(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while len(self._children) and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
        self._cells.kill(ALL)
        while len(self._children):
            self._children.signal_all(signal.SIGKILL)
            self._turn(None)

    def _let_go(self) -> None:
        """In a child: keep nothing that is the master's."""
        self._selector.close()
        self._listener.close()
        self._lock.release_after_fork()
        for descriptor in self._wake:
            os.close(descriptor)
        for connection in self._connections:
            connection.close()


def dismiss(connection: socket.socket, code: int, message: str) -> None:
    """Answer without waiting for a client that may not read, and hang up."""
    connection.settimeout(0)
    with connection, suppress(sockets.PeerGone, BlockingIOError):
        sockets.send(connection, protocol.exit_frame(code, message))


def obituary(code: int) -> tuple[int, str]:
    """What to tell the client of a command that could not speak for itself."""
    if code < 0:
        name = signal.Signals(-code).name
        return 128 - code, f"The command was killed on the server by {name}"
    if code == FAILED:
        return BUG, "The command could not be started; paasd's log has the trace"
    return code, ""


def freeze() -> None:
    """Move all that exists out of the collector's sight, so that children share its pages."""
    gc.collect()
    gc.freeze()
