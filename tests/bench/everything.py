"""The app behind `bench_switches`: pages, uploads, event streams and WebSockets, and no queue.

It is pushed as it is and runs alone in its container: the standard library, one event loop.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import socket

VERSION = "1"
WHO = f"{VERSION} {socket.gethostname()}".encode()
EVENT_S = 0.2
HANDSHAKE = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


class Visit(asyncio.Protocol):
    """One connection. Requests follow each other; a stream never ends by itself."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.left = self.got = 0
        self.ticking: asyncio.TimerHandle | None = None
        self.tick = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        if self.ticking is not None:
            self.ticking.cancel()

    def data_received(self, data: bytes) -> None:
        if self.tick:
            return  # what a WebSocket's client says is of no interest here
        self.data += data
        while self._one():
            pass

    def _one(self) -> bool:
        """Take in what there is of one request; says whether there may be another."""
        if self.left:
            taken = min(self.left, len(self.data))
            del self.data[:taken]
            self.left -= taken
            self.got += taken
            if self.left == 0:
                self._answer(b"%d" % self.got)
            return self.left == 0 and bool(self.data)
        head, end, rest = bytes(self.data).partition(b"\r\n\r\n")
        if not end:
            return False
        self.data = bytearray(rest)
        lines = head.split(b"\r\n")
        fields = (line.partition(b":") for line in lines[1:])
        headers = {name.lower(): value.strip() for name, _, value in fields}
        self._respond(lines[0].split(b" ")[1], headers)
        return bool(self.data)

    def _respond(self, path: bytes, headers: dict[bytes, bytes]) -> None:
        if path == b"/events":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            self._begin(b"data: " + WHO + b"\n\n")
        elif path == b"/socket":
            key = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + HANDSHAKE).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + key + b"\r\n\r\n"
            )
            self._begin(b"\x81" + bytes([len(WHO)]) + WHO)
        elif headers.get(b"content-length", b"0") != b"0":
            self.left, self.got = int(headers[b"content-length"]), 0
        else:
            self._answer(WHO)

    def _answer(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _begin(self, tick: bytes) -> None:
        self.tick = tick
        self._go_on()

    def _go_on(self) -> None:
        self.transport.write(self.tick)
        self.ticking = asyncio.get_running_loop().call_later(EVENT_S, self._go_on)


async def main() -> None:
    """Serve until told to stop."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    await loop.create_server(Visit, "0.0.0.0", int(os.environ["PORT"]), backlog=1024)
    await done.wait()


if __name__ == "__main__":
    asyncio.run(main())
