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

from paas.daemon.children import ALL, STOPPING, Cells, Children
from paas.daemon.command import Handler
from paas.daemon.commands import Commands
from paas.daemon.peer import Admission
from paas.daemon.resident import Keeper, Resident
from paas.errors import PaasError
from paas.host.files import FileLock

STOP_SECONDS = 45.0
"""Between SIGTERM and SIGKILL for what runs when the master is asked to stop: a deploy that
is past its build comes to a clean end. Below TimeoutStopSec= of the unit."""

ACCEPTS = 16
"""Connections taken in one turn, so that ends and signals get theirs."""

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
        self._cells = cells
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._children = Children(self._selector, cells, self._let_go)
        self._commands = Commands(self._children, admission, handler, log)
        self._keepers = [Keeper(resident, self._children, log) for resident in residents]
        self._stopping = False

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, then end what runs. `ready` is called once."""
        self._sweep()  # what the commands of a killed predecessor left behind
        self._selector.register(self._wake[0], selectors.EVENT_READ, self._woken)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._heed_signals()
        freeze()
        ready()
        while not self._stopping:
            for keeper in self._keepers:
                keeper.start_if_due()
            self._commands.prepare()
            self._turn(self._next_due())
        self._stop()

    def _turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds for something, and do what it asks for."""
        for key, _ in self._selector.select(timeout):
            key.data()

    def _next_due(self) -> float | None:
        dues = [keeper.due for keeper in self._keepers if keeper.due is not None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

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
            self._commands.take(connection)

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
        self._sweep()
        while len(self._children):
            self._children.signal_all(signal.SIGKILL)
            self._turn(None)

    def _sweep(self) -> None:
        try:
            self._cells.kill(ALL)
        except PaasError as error:
            # Hanging in the kernel they harm nobody who comes; a PaaS that is down does.
            self._log(str(error))

    def _let_go(self) -> None:
        """In a child: keep nothing that is the master's."""
        self._selector.close()
        self._listener.close()
        self._lock.release_after_fork()
        for descriptor in self._wake:
            os.close(descriptor)
        self._commands.let_go()


def freeze() -> None:
    """Move all that exists out of the collector's sight, so that children share its pages."""
    gc.collect()
    gc.freeze()
