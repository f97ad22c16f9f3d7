"""The way of a step to an ssh-agent: what is cut, refused, let through, and how it ends."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.engine.build.agents import (
    ALLOWED,
    FAILURE,
    MAX_MESSAGE,
    AgentMessageBroken,
    Messages,
    is_allowed,
    offered,
)

SECONDS = 10.0


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!IB", len(body) + 1, kind) + body


LIST, SIGN, ADD, REMOVE_ALL, LOCK, EXTENSION = 11, 13, 17, 19, 22, 27
ANSWER = message(14, b"signed")


# -- the protocol --------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, MAX_MESSAGE + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_of_it_came(length: int) -> None:
    messages = Messages()
    messages.add(struct.pack("!I", length))
    with pytest.raises(AgentMessageBroken):
        messages.next()


def test_the_longest_message_is_one() -> None:
    longest = message(SIGN, bytes(MAX_MESSAGE - 1))
    messages = Messages()
    messages.add(longest[:-1])
    assert messages.next() is None
    messages.add(longest[-1:])
    assert messages.next() == longest


@given(st.integers(0, 255), st.binary(max_size=64))
def test_all_that_does_not_use_a_key_is_refused(kind: int, body: bytes) -> None:
    assert is_allowed(message(kind, body)) == (kind in (LIST, SIGN))
    assert {LIST, SIGN} == ALLOWED


@given(st.data(), st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8))
def test_messages_are_whole_however_they_are_torn(
    data: st.DataObject, sent: list[tuple[int, bytes]]
) -> None:
    stream = b"".join(message(*one) for one in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    messages, found = Messages(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        messages.add(stream[begin:end])
        while (one := messages.next()) is not None:
            found.append(one)
    assert found == [message(*one) for one in sent]


@given(st.binary(max_size=600))
def test_any_bytes_are_messages_or_broken(stream: bytes) -> None:
    messages, found = Messages(), bytearray()
    messages.add(stream)
    try:
        while (one := messages.next()) is not None:
            length = int.from_bytes(one[:4], "big")
            assert 0 < length == len(one) - 4
            found += one
    except AgentMessageBroken:
        claimed = int.from_bytes(stream[len(found) : len(found) + 4], "big")
        assert claimed == 0 or claimed > MAX_MESSAGE
    assert stream.startswith(found)


# -- the service ---------------------------------------------------------------------------


class Agent:
    """An agent that remembers what it was asked, and answers the same unless it is to hang up."""

    def __init__(self, path: Path, answer: bytes = ANSWER) -> None:
        self.asked: list[bytes] = []
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                messages = Messages()
                while data := connection.recv(1 << 16):
                    messages.add(data)
                    while (one := messages.next()) is not None:
                        self.asked.append(one)
                        connection.sendall(self.answer)
                    if not self.answer:
                        break

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path / "agent")
    yield agent
    agent.stop()


@pytest.fixture
def at(tmp_path: Path, agent: Agent) -> Iterator[Path]:
    """Where it is offered."""
    path = tmp_path / "offered"
    before = threading.active_count()
    with offered(tmp_path / "agent", path, os.getuid(), os.getgid(), 0o640):
        yield path
    assert threading.active_count() == before


def client(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    connection.connect(str(path))
    return connection


def ask(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    return read(connection)


def read(connection: socket.socket) -> bytes:
    """The next answer; nothing from who hung up (a reset when he left a question unread)."""
    messages = Messages()
    while (answer := messages.next()) is None:
        try:
            data = connection.recv(1)
        except ConnectionResetError:
            return b""
        if not data:
            return b""
        messages.add(data)
    return answer


@pytest.mark.parametrize("kind", [0, 1, 5, ADD, 18, REMOVE_ALL, 20, LOCK, 23, 25, 26, EXTENSION])
def test_what_would_change_the_agent_is_refused_and_not_passed_on(
    agent: Agent, at: Path, kind: int
) -> None:
    with client(at) as connection:
        assert ask(connection, message(kind, b"body")) == FAILURE
        assert ask(connection, message(SIGN, b"data")) == ANSWER
    assert agent.asked == [message(SIGN, b"data")]


@pytest.mark.parametrize("sent", [b"\0\0\0\0", b"\0\4\0\1", b"\xff" * 8])
def test_who_sends_no_message_is_hung_up_on(agent: Agent, at: Path, sent: bytes) -> None:
    with client(at) as connection:
        assert ask(connection, sent) == b""
    with client(at) as connection:
        assert ask(connection, message(LIST)) == ANSWER
    assert agent.asked == [message(LIST)]


@pytest.mark.parametrize("sent", [b"", b"\0\0", message(SIGN, b"data")[:-1]])
def test_a_torn_message_is_never_passed_on(agent: Agent, at: Path, sent: bytes) -> None:
    with client(at) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert read(connection) == b""
    assert agent.asked == []


def test_answers_come_in_the_order_of_the_questions(agent: Agent, at: Path) -> None:
    with client(at) as connection:
        questions = [message(SIGN, bytes([n])) if n % 3 else message(ADD) for n in range(30)]
        connection.sendall(b"".join(questions))
        answers = [read(connection) for _ in questions]
    assert answers == [ANSWER if n % 3 else FAILURE for n in range(30)]


def test_an_agent_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "offered"
    with offered(tmp_path / "nowhere", path, os.getuid(), os.getgid(), 0o600):
        for _ in range(20):  # more than there are threads
            with client(path) as connection:
                assert ask(connection, message(LIST)) == b""


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\0", b"\xff" * 4])
def test_an_agent_that_lies_or_leaves_ends_the_connection(
    agent: Agent, at: Path, answer: bytes
) -> None:
    agent.answer = answer
    with client(at) as connection:
        assert ask(connection, message(SIGN)) == b""


def test_the_socket_has_its_mode_and_ends_with_what_is_open(tmp_path: Path, agent: Agent) -> None:
    """Idle connections, more of them than are served at once, and one whose agent is silent."""
    path = tmp_path / "ends"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with offered(tmp_path / "silent", path, os.getuid(), os.getgid(), 0o640):
            assert path.stat().st_mode & 0o7777 == 0o640
            clients = [client(path) for _ in range(40)]
            for each in clients[::2]:
                each.sendall(message(LIST))
        for each in clients:
            with each:
                assert read(each) == b""
