"""RUN --mount=type=ssh: an ssh-agent(1) of this machine, as a step may use it.

The step connects to a socket of its own user: one whose owner its user namespace does not
know could not be connected to (user_namespaces(7)). Behind it is no tunnel: of the agent's
protocol only what uses keys is let through, in turn, a question and its answer at a time.
Source of the protocol: draft-ietf-sshm-ssh-agent.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.errors import BuildError
from paas.host import sockets

DEFAULT_ID = "default"

MAX_MESSAGE = 256 * 1024
"""Bytes behind the length; OpenSSH's limit (AGENT_MAX_LEN)."""

REQUEST_IDENTITIES, SIGN_REQUEST = 11, 13
ALLOWED = frozenset({REQUEST_IDENTITIES, SIGN_REQUEST})
"""What a step may ask. All else changes the agent (keys, locks), or is an extension."""

FAILURE = b"\0\0\0\1\5"
"""SSH_AGENT_FAILURE, whole."""

MOST = 16
"""Connections of one step at a time; later ones wait until one is closed."""

CONNECT_SECONDS = 2.0
"""For an agent that accepts nobody."""

_LENGTH = 4
_CHUNK = 64 * 1024


class AgentMessageBroken(BuildError):
    """What came is no message of the protocol, or too long for one."""


@dataclass(frozen=True)
class AgentSocket:
    """A socket at `target` in the container, for `agent`; ids are the container's."""

    target: str
    agent: Path
    mode: int
    uid: int
    gid: int


class Messages:
    """Cuts what arrives into messages, each with its length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """Take the next piece, of any size."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The first whole message, taken out; None until there is one.

        Raises `AgentMessageBroken` as soon as the length says so.
        """
        if len(self._buffer) < _LENGTH:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH], "big")
        if not 0 < length <= MAX_MESSAGE:
            raise AgentMessageBroken(f"A message to an ssh-agent has {length} bytes")
        end = _LENGTH + length
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[:end])
        del self._buffer[:end]
        return message


def is_allowed(message: bytes) -> bool:
    """Whether the agent is asked; otherwise the answer is `FAILURE`."""
    return message[_LENGTH] in ALLOWED


@contextmanager
def offered(agent: Path, at: Path, uid: int, gid: int, mode: int) -> Iterator[None]:
    """Serve `agent` at the socket `at`, which gets that owner and mode, during the block."""
    with sockets.listen(at, mode=mode) as listener:
        os.chown(at, uid, gid)
        listener.settimeout(None)
        service = _Service(listener, agent)
        threads = [threading.Thread(target=service.work, name="ssh-agent") for _ in range(MOST)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            service.end()
            for thread in threads:
                thread.join()


class _Service:
    """Serves connections until it is ended."""

    def __init__(self, listener: socket.socket, agent: Path) -> None:
        self._listener = listener
        self._agent = agent
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._over = False

    def work(self) -> None:
        """One connection after the other; several threads do."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._over:
                    return
                raise
            # The step sees its end: either side may hang up, or send what is no message.
            with client, suppress(OSError, AgentMessageBroken):
                self._serve(client)

    def end(self) -> None:
        """Wake everybody: there is no more to do."""
        with self._lock:
            self._over = True
            for connection in (self._listener, *self._open):
                with suppress(OSError):  # its other end was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        questions, answers, agent = Messages(), Messages(), None
        with ExitStack() as stack:
            stack.enter_context(self._known(client))
            while (question := _receive(client, questions)) is not None:
                answer: bytes | None = FAILURE
                if is_allowed(question):
                    # Not before there is a question: who writes to a closed socket may die of it
                    # (SIGPIPE), where one who reads from it can say that the agent is gone.
                    agent = agent or stack.enter_context(self._connected())
                    agent.sendall(question, socket.MSG_NOSIGNAL)
                    answer = _receive(agent, answers)
                if answer is None:
                    return
                client.sendall(answer, socket.MSG_NOSIGNAL)

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(CONNECT_SECONDS)
            agent.connect(str(self._agent))
            agent.settimeout(None)  # it may ask a person
            with self._known(agent):
                yield agent

    @contextmanager
    def _known(self, connection: socket.socket) -> Iterator[None]:
        """While it is waited for, `end` wakes who does."""
        with self._lock:
            if self._over:
                raise ConnectionAbortedError
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(connection)


def _receive(connection: socket.socket, messages: Messages) -> bytes | None:
    """The next message; None at the end, whatever was begun before it."""
    while (message := messages.next()) is None:
        data = connection.recv(_CHUNK)
        if not data:
            return None
        messages.add(data)
    return message
