"""Local sockets: frames with descriptors, and who is at the other end.

A frame is a 4-byte big-endian length and that many bytes of JSON, an object. Descriptors
travel with the first byte of a connection's first frame (SCM_RIGHTS), and no later one: the
kernel may deliver those together with the frame before. The thin clients speak the same without
importing this; a test holds the two together. Sources: unix(7), cmsg(3).
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError

MAX_FRAME = 16 * 2**20
"""Bytes. Linux hands a program at most 6 MiB of arguments (execve(2)); JSON escapes some."""

MAX_DESCRIPTORS = 8

_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")
_CHUNK = 256 * 1024

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


class FrameBroken(PaasError):
    """The peer sent something that is not a frame."""


class FrameTooLarge(FrameBroken):
    """The peer announced more than `MAX_FRAME`."""


class PeerSilent(PaasError):
    """The peer did not send a whole frame in time."""


class PeerGone(PaasError):
    """The peer closed the connection, before a frame or inside one."""


@dataclass(frozen=True)
class Peer:
    """The process that made a connection, as the kernel saw it then (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Frame:
    """An object, and the descriptors that came with it: the receiver closes them."""

    value: Mapping[str, object]
    descriptors: tuple[int, ...]


def listen(path: Path, *, mode: int, gid: int = -1, backlog: int = 128) -> socket.socket:
    """A non-blocking listener at `path`, in place of whatever socket was left there.

    The caller holds a lock that says it is the only server. The name appears when it is
    ready to be connected to, with its mode: bound beside, then renamed.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(beside))
        os.chown(beside, -1, gid)
        beside.chmod(mode)
        listener.listen(backlog)
        listener.settimeout(0)
        beside.replace(path)
    except BaseException:
        listener.close()
        beside.unlink(missing_ok=True)
        raise
    return listener


def peer_of(connection: socket.socket) -> Peer:
    """Who connected."""
    size = _CREDENTIALS.size
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return Peer(*_CREDENTIALS.unpack(data))


def encode(value: Mapping[str, Json]) -> bytes:
    """One frame. ASCII, so that surrogate-escaped bytes of arguments survive."""
    body = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


def send(
    connection: socket.socket, value: Mapping[str, Json], descriptors: Sequence[int] = ()
) -> None:
    """Send one frame. Raises `PeerGone`."""
    data = memoryview(encode(value))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    try:
        sent = connection.sendmsg([data], rights if descriptors else [], socket.MSG_NOSIGNAL)
        # Not an empty rest: a peer that has read it all may have hung up, which is no error.
        if sent < len(data):
            connection.sendall(data[sent:], socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise PeerGone("The other end of the connection is gone") from error


class Receiver:
    """Cuts what arrives on a connection into frames."""

    def __init__(self, connection: socket.socket, *, limit: int = MAX_FRAME) -> None:
        """`limit` is the greatest length of one frame, in bytes."""
        self._connection = connection
        self._limit = limit
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def receive(self, timeout: float | None = None) -> Frame:
        """The next frame, whole. `timeout` in seconds counts for all of it.

        Raises `PeerSilent`, `PeerGone`, `FrameBroken`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (frame := self._cut()) is None:
            self._wait(deadline)
            self._read(0)
        return frame

    def receive_waiting(self) -> list[Frame]:
        """The frames that have arrived, without waiting. Raises `PeerGone` after the last."""
        frames: list[Frame] = []
        try:
            while True:
                self._read(socket.MSG_DONTWAIT)
                while (frame := self._cut()) is not None:
                    frames.append(frame)
        except BlockingIOError:
            return frames
        except PeerGone:
            if frames:
                return frames  # the next call meets the end again
            raise

    def close_descriptors(self) -> None:
        """Close what came with a frame that never became whole."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _wait(self, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise PeerSilent("The other end of the connection did not say all in time")

    def _read(self, flags: int) -> None:
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        # The descriptors are close-on-exec from the start: another thread's or a signal
        # handler's fork would inherit them otherwise, and hold a pipe open for ever.
        try:
            data, messages, answer, _ = self._connection.recvmsg(
                _CHUNK, space, flags | socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError as error:
            raise PeerGone("The other end of the connection is gone") from error
        for level, kind, payload in messages:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self._descriptors += numbers
        if answer & socket.MSG_CTRUNC or len(self._descriptors) > MAX_DESCRIPTORS:
            self.close_descriptors()
            raise FrameBroken(f"More than {MAX_DESCRIPTORS} descriptors came at once")
        if not data:
            self.close_descriptors()
            raise PeerGone("The other end of the connection is gone")
        self._buffer += data

    def _cut(self) -> Frame | None:
        """A whole frame off the front of the buffer."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._limit:
            raise FrameTooLarge(f"A frame of {length} bytes is larger than {self._limit}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        descriptors, self._descriptors = tuple(self._descriptors), []
        return Frame(_decode(body), descriptors)


def _decode(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameBroken("A frame is not JSON") from error
    if not isinstance(value, dict):
        raise FrameBroken("A frame is not an object")
    return value


def notify(message: str, address: str | None) -> None:
    """Tell the service manager (sd_notify(3)); `address` is its NOTIFY_SOCKET, or None."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.sendto(message.encode(), target)
