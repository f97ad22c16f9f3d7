"""Visitors of every kind, in a process of their own, until a line comes on standard input.

`python -m tests.bench.crowd PORT HOST STREAM_SECONDS`: probes that are timed, slow uploads,
event streams and WebSockets, which have to last STREAM_SECONDS at least. Prints what became of
them as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PROBES, FRESH, UPLOADS, STREAMS = 4, 2, 4, 4
PROBE_PAUSE_S = 0.01
UPLOAD_PIECES, PIECE, PIECE_PAUSE_S = 16, b"x" * 8192, 0.1
SILENCE_S = 10.0
"""A stream that says something five times a second is lost when it is silent for so long."""

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@dataclass
class Crowd:
    """All visitors and what they saw."""

    port: int
    host: str
    stream_s: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    probes: list[tuple[float, float, str]] = field(default_factory=list)
    """When each was asked (time.time), how many seconds it took, and who answered."""
    uploads: int = 0
    streams: int = 0
    failures: list[str] = field(default_factory=list)

    async def stay(self) -> None:
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (PROBES, self._probe),
            (FRESH, self._fresh),
            (UPLOADS, self._upload),
            (STREAMS, lambda: self._stream("/events", self._events)),
            (STREAMS, lambda: self._stream("/socket", self._socket)),
        ]
        tasks = [self._again(visit) for count, visit in kinds for _ in range(count)]
        asyncio.get_running_loop().add_reader(sys.stdin, self.done.set)
        await asyncio.gather(*tasks)

    async def _again(self, visit: Callable[[], Awaitable[None]]) -> None:
        while not self.done.is_set():
            try:
                await visit()
            except (OSError, ValueError, EOFError, TimeoutError) as error:
                self.failures.append(f"{time.time():.3f}: {error!r}")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Reader, Writer]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _probe(self) -> None:
        """Ask again and again over one connection, until nginx says that it closes it."""
        async with self._connected() as (reader, writer):
            alive = True
            while alive and not self.done.is_set():
                alive = await self._timed(reader, writer, time.time())
                await asyncio.sleep(PROBE_PAUSE_S)

    async def _fresh(self) -> None:
        asked = time.time()
        async with self._connected() as (reader, writer):
            await self._timed(reader, writer, asked, "Connection: close\r\n")
        await asyncio.sleep(PROBE_PAUSE_S)

    async def _timed(self, reader: Reader, writer: Writer, asked: float, more: str = "") -> bool:
        writer.write(self._request("GET", "/", more))
        head, body = await self._answer(reader)
        self.probes.append((asked, time.time() - asked, body.decode()))
        return b"connection: close" not in head

    async def _upload(self) -> None:
        async with self._connected() as (reader, writer):
            size = len(PIECE) * UPLOAD_PIECES
            writer.write(self._request("POST", "/upload", f"Content-Length: {size}\r\n"))
            for _ in range(UPLOAD_PIECES):
                writer.write(PIECE)
                await writer.drain()
                await asyncio.sleep(PIECE_PAUSE_S)
            _, body = await self._answer(reader)
            if body != b"%d" % size:
                raise ValueError(f"an upload of {size} bytes arrived as {body!r}")
            self.uploads += 1

    async def _stream(self, path: str, follow: Callable[[Reader], Awaitable[None]]) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
        more = f"Upgrade: websocket\r\n{upgrade}" if path == "/socket" else ""
        began = time.time()
        async with self._connected() as (reader, writer):
            writer.write(self._request("GET", path, f"{more}Accept: text/event-stream\r\n"))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE_S)
            if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")):
                raise ValueError(f"a stream began with {head[:40]!r}")
            try:
                while not self.done.is_set():
                    await asyncio.wait_for(follow(reader), SILENCE_S)
            except TimeoutError:
                raise ValueError(f"{path} from {began:.3f} on fell silent") from None
            except (EOFError, ConnectionError):
                lasted = time.time() - began
                if lasted < self.stream_s:
                    raise ValueError(f"{path} lasted {lasted:.1f} s") from None
            self.streams += 1

    async def _events(self, reader: Reader) -> None:
        if await reader.readline() in {b"", b"0\r\n"}:
            raise EOFError  # the last chunk (RFC 9112, section 7.1)

    async def _socket(self, reader: Reader) -> None:
        _, length = await reader.readexactly(2)
        await reader.readexactly(length)

    def _request(self, method: str, path: str, more: str = "") -> bytes:
        return f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{more}\r\n".encode()

    async def _answer(self, reader: Reader) -> tuple[bytes, bytes]:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE_S)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"an answer began with {head[:40]!r}")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head.lower(), await reader.readexactly(int(length))


async def main(port: str, host: str, stream_s: str) -> None:
    """Stay and tell."""
    crowd = Crowd(int(port), host, float(stream_s))
    await crowd.stay()
    told = {key: value for key, value in vars(crowd).items() if key != "done"}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
