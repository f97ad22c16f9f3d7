"""Frames: whole, in pieces, too large, broken; descriptors that come with them."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.host import sockets
from paas.host.sockets import FrameBroken, FrameTooLarge, PeerGone, PeerSilent, Receiver, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_silent_peer_is_not_waited_for(pair: Pair) -> None:
    pair[0].sendall(b"\0\0")
    with pytest.raises(PeerSilent):
        Receiver(pair[1]).receive(0.01)


@pytest.mark.parametrize("sent", [b"", b"\0", struct.pack("!I", 10) + b"{"])
def test_a_peer_that_leaves_is_told_from_a_silent_one(pair: Pair, sent: bytes) -> None:
    pair[0].sendall(sent)
    pair[0].close()
    with pytest.raises(PeerGone):
        Receiver(pair[1]).receive(1)


def test_a_large_frame_is_refused_before_it_is_read(pair: Pair) -> None:
    pair[0].sendall(struct.pack("!I", 101))
    with pytest.raises(FrameTooLarge):
        Receiver(pair[1], limit=100).receive(1)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_broken(pair: Pair, body: bytes) -> None:
    pair[0].sendall(struct.pack("!I", len(body)) + body)
    with pytest.raises(FrameBroken):
        Receiver(pair[1]).receive(1)


def test_too_many_descriptors_are_closed_and_refused(pair: Pair) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    socket.send_fds(pair[0], [b"x"], [0] * 9)
    with pytest.raises(FrameBroken):
        Receiver(pair[1]).receive(1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_descriptors_of_an_unfinished_frame_are_closed(pair: Pair) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    socket.send_fds(pair[0], [b"\0"], [0, 1])
    pair[0].close()
    with pytest.raises(PeerGone):
        Receiver(pair[1]).receive(1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_descriptors_are_close_on_exec(pair: Pair) -> None:
    send(pair[0], {}, [0, 1, 2])
    frame = Receiver(pair[1]).receive(1)
    assert len(frame.descriptors) == 3
    for descriptor in frame.descriptors:
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        os.close(descriptor)


def test_descriptors_belong_to_the_first_frame(pair: Pair) -> None:
    send(pair[0], {"n": 1}, [0])
    send(pair[0], {"n": 2})
    receiver = Receiver(pair[1])
    first, second = receiver.receive(1), receiver.receive(1)
    assert (len(first.descriptors), len(second.descriptors)) == (1, 0)
    os.close(first.descriptors[0])


def test_sending_to_a_peer_that_read_all_and_left_is_no_error(pair: Pair) -> None:
    """An empty rest must not be sent: it fails after the frame has arrived."""
    send(pair[0], {"a": 1})
    assert Receiver(pair[1]).receive(1).value == {"a": 1}
    pair[1].close()
    with pytest.raises(PeerGone):
        send(pair[0], {"a": 1})


def test_waiting_frames_come_all_and_the_end_after_them(pair: Pair) -> None:
    receiver = Receiver(pair[1])
    assert receiver.receive_waiting() == []
    send(pair[0], {"n": 1})
    send(pair[0], {"n": 2})
    pair[0].close()
    assert [frame.value["n"] for frame in receiver.receive_waiting()] == [1, 2]
    with pytest.raises(PeerGone):
        receiver.receive_waiting()


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=5), st.integers(1, 9))
def test_any_words_survive_in_pieces_of_any_size(words: list[str], size: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        data = sockets.encode({"words": words})
        receiver = Receiver(theirs)
        frames = []
        for start in range(0, len(data), size):
            ours.sendall(data[start : start + size])
            frames += receiver.receive_waiting()
        assert [frame.value for frame in frames] == [{"words": words}]


def test_a_listener_replaces_what_is_there_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("stale")
    with sockets.listen(path, mode=0o600) as listener:
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert [entry.name for entry in tmp_path.iterdir()] == ["s"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            connection, _ = listener.accept()
            with connection:
                assert sockets.peer_of(connection) == sockets.Peer(
                    os.getpid(), os.getuid(), os.getgid()
                )


def test_the_service_manager_is_told_by_path_and_abstract_name(tmp_path: Path) -> None:
    sockets.notify("READY=1", None)
    sockets.notify("READY=1", "")
    abstract = f"paas-test-{os.getpid()}"
    for address, given_as in ((str(tmp_path / "n"), None), (f"\0{abstract}", f"@{abstract}")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            sockets.notify("READY=1", given_as or address)
            assert manager.recv(100) == b"READY=1"
