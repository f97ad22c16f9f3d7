"""The journal of what happened to containers: one JSON object a line, kept and bounded.

A line is written by one write(2) to a file opened for appending, so that writers in many
processes need no lock and a line is whole; what a power cut tore is passed over. At its
size the file is renamed, one such is kept, and another is begun. It holds no secret:
neither environments nor arguments.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from paas.host.clock import Clock
from paas.host.files import FileLock, as_far_as_fits
from paas.model.layout import Layout

MOST_BYTES = 4 * 1024 * 1024
"""Of one file; there are two: some 30000 events at least."""

FOLLOW_SECONDS = 0.1


@dataclass(frozen=True)
class Event:
    """One thing that happened. `at` is in seconds since the epoch.

    Actions are Docker's: create, start, die, oom, kill, stop, pause, unpause, restart,
    attach, exec_start, copy, commit, health_status, destroy.
    """

    at: float
    action: str
    container: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "time": self.at,
            "action": self.action,
            "id": self.container,
            "attributes": dict(self.attributes),
        }


class Journal:
    """Writes and reads the events of one engine."""

    def __init__(self, layout: Layout, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        self._path = layout.engine / "events.log"
        self._lock = layout.engine / "events.lock"
        self._clock = clock
        self._most_bytes = most_bytes

    def add(self, action: str, container: str, **attributes: str) -> None:
        """Record that something happened; on a full disk it is not.

        A record must not decide whether a container is stopped or removed: that frees room.
        """
        with as_far_as_fits():
            self._add(action, container, attributes)

    def _add(self, action: str, container: str, attributes: Mapping[str, str]) -> None:
        event = Event(self._clock.now(), action, container, attributes)
        line = f"{json.dumps(event.to_json())}\n".encode()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            os.write(file, line)
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        if size > self._most_bytes:
            self._rotate()

    def read(self, count: int | None = None) -> list[Event]:
        """The last `count` events, or all that are kept, the oldest first."""
        events = [event for path in (self._older, self._path) for event in _read(path)]
        return events if count is None else events[-count:] if count else []

    def follow(self, pause: Callable[[float], None] = time.sleep) -> Iterator[Event]:
        """What comes from now on, without end. `pause` gets seconds and may raise."""
        file = self._open()
        try:
            if file is not None:
                file.seek(0, os.SEEK_END)
            rest = b""
            while True:
                if file is not None:
                    *lines, rest = (rest + file.read()).split(b"\n")
                    yield from _events(lines)
                if self._stale(file):
                    # Written to until its rename was seen: read to its end first.
                    if file is not None:
                        yield from _events((rest + file.read()).split(b"\n"))
                        file.close()
                    file, rest = self._open(), b""
                    continue
                pause(FOLLOW_SECONDS)
        finally:
            if file is not None:
                file.close()

    @property
    def _older(self) -> Path:
        return self._path.with_name(f"{self._path.name}.1")

    def _rotate(self) -> None:
        with FileLock(self._lock):
            # Another may have been faster: then it is small.
            if self._path.exists() and self._path.stat().st_size > self._most_bytes:
                self._path.rename(self._older)

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _stale(self, file: BinaryIO | None) -> bool:
        """Whether the journal's path leads to another file than the open one."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return file is None or not os.path.samestat(now, os.fstat(file.fileno()))


def _read(path: Path) -> list[Event]:
    try:
        return list(_events(path.read_bytes().split(b"\n")))
    except FileNotFoundError:
        return []


def _events(lines: list[bytes]) -> Iterator[Event]:
    for line in lines:
        event = _parsed(line)
        if event is not None:
            yield event


def _parsed(line: bytes) -> Event | None:
    """The event of a line; None for one that a power cut left half."""
    try:
        document = json.loads(line)
        return Event(document["time"], document["action"], document["id"], document["attributes"])
    except (ValueError, KeyError, TypeError):
        return None
