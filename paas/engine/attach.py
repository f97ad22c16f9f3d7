"""Attaching to a container that a monitor watches: its output from now on, and its input.

Sources: conmon, src/conn_sock.c: a seqpacket socket whose packets begin with the number
of their stream; and docker attach(1), whose detach keys these are.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack, suppress

from paas.engine import monitor
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler
from paas.engine.container import State, Status
from paas.engine.containers import Containers, WrongState
from paas.engine.pump import CHUNK, Flow, Foreign, Pump
from paas.errors import PaasError
from paas.host.terminal import Terminal

DETACH_KEYS = "ctrl-p,ctrl-q"
STDERR = 3
"""conmon's number for standard error; standard output is 2."""

PACKET = 8192
_KEY = re.compile(r"ctrl-([a-z@\[\]\\^_])|(.)")


class Detached(Exception):
    """The person at the terminal typed the detach keys."""


class InvalidKeys(PaasError):
    """Detach keys that no keyboard has."""


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` as the bytes a terminal sends; empty for none. Raises `InvalidKeys`."""
    keys = b""
    for word in text.split(",") if text else ():
        found = _KEY.fullmatch(word)
        if found is None or not word.isascii():
            raise InvalidKeys(
                f"{word!r} is not a key",
                resolution="Write them like ctrl-p,ctrl-q: one character, or ctrl- and a letter.",
            )
        keys += bytes([ord(found[1].upper()) & 0x1F]) if found[1] else found[2].encode()
    return keys


class Attachments:
    """Joins callers to the streams of containers."""

    def __init__(self, bundler: Bundler, containers: Containers) -> None:
        self._bundler = bundler
        self._containers = containers

    def attach(
        self, container_id: str, terminal: Terminal, *, keys: str = DETACH_KEYS, stdin: bool = True
    ) -> Status | None:
        """Copy until it ends, and return how; None when the caller detached.

        Its own terminal, if it has one, takes the size of the caller's, whose keys then go
        through as they are. Raises `WrongState`, `InvalidKeys`.
        """
        detach = parse_keys(keys)
        bundle = self._bundler.bundles.of(container_id)
        state = self._containers.status(container_id).state
        if state not in (State.CREATED, State.RUNNING):
            raise WrongState(f"The container {container_id} is {state.value}, not running")
        with ExitStack() as undo:
            try:
                self._copy(undo, bundle, terminal, detach, stdin=stdin)
            except Detached:
                return None
        return self._containers.settle(container_id)

    def _copy(
        self, undo: ExitStack, bundle: Bundle, terminal: Terminal, keys: bytes, *, stdin: bool
    ) -> None:
        connection = undo.enter_context(_connect(bundle))
        record = bundle.known_record()
        flows: list[Flow] = [Output(connection, terminal.stdout, terminal.stderr)]
        if stdin and (record.stdin or record.terminal):
            keys = keys if record.terminal else b""
            flows.append(Flow(terminal.stdin, Input(connection, keys), essential=False))
        if record.terminal and terminal.isatty:
            undo.enter_context(terminal.raw())
            monitor.resize(bundle, *terminal.size)
            terminal.on_resize(lambda size: monitor.resize(bundle, *size))
        ended = self._containers.watch(bundle.id)
        undo.callback(os.close, ended)
        self._bundler.events.add("attach", bundle.id)
        Pump(flows).run(ended, None)


class Output(Flow):
    """What the container says, each packet to the stream it names."""

    def __init__(self, connection: socket.socket, stdout: int, stderr: int) -> None:
        self._streams = {STDERR: Foreign(stderr)}
        self._stdout = Foreign(stdout)
        super().__init__(connection.fileno(), self._stdout, essential=True)

    def _read(self) -> bytes:
        try:
            packet = os.read(self.source, CHUNK)
        except ConnectionResetError:
            # The monitor ended with input of ours unread.
            return b""
        self._sink = self._streams.get(packet[0], self._stdout) if packet else self._stdout
        return packet[1:]


class Input:
    """A sink that sends what is typed, but for the detach keys."""

    def __init__(self, connection: socket.socket, keys: bytes) -> None:
        self._connection = connection
        self._keys = keys
        self._held = 0
        """How many of the detach keys were typed last: sent only when it was not them."""

    def fileno(self) -> int | None:
        return self._connection.fileno()

    def write(self, data: bytes) -> int:
        piece = data[:PACKET]
        passed, detached = self._without_keys(piece)
        if passed:
            self._connection.send(passed)
        if detached:
            raise Detached
        return len(piece)

    def close(self) -> None:
        """The caller's input ended: so does the container's."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def _without_keys(self, piece: bytes) -> tuple[bytes, bool]:
        """What is to be sent, and whether the keys came behind it."""
        if not self._keys:
            return piece, False
        passed = b""
        for key in piece:
            if key == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return passed, True
                continue
            passed += self._keys[: self._held]
            self._held = 1 if key == self._keys[0] else 0
            passed += b"" if self._held else bytes([key])
        return passed, False


def _connect(bundle: Bundle) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.connect(str(bundle.attachment))
    except OSError as error:
        connection.close()
        raise WrongState(
            f"Nobody can attach to {bundle.id}: no monitor holds its streams",
            [str(error)],
            "A one-off has the streams of who runs it alone; use `paas containers:exec`.",
        ) from error
    return connection
