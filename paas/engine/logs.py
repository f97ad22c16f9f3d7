"""Reading what containers wrote: conmon's log files.

One line is `TIME STREAM F|P TEXT`; P is a part of a line that goes on in the next of the
same stream. Times are RFC 3339 with nanoseconds. Rotated logs have `.1`, the newest, to
`.3` after the name.
Source: https://github.com/kubernetes/design-proposals-archive, node/kubelet-cri-logging.md.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from paas.host import files

BLOCK = 65536
MAX_LINE = 1 << 20
"""Bytes. What one program writes without a newline must not fill our memory."""

FOLLOW_SECONDS = 0.1
"""Between two looks at followed files: one stat each, and no watch that rotation breaks."""

EVERY = 1 << 62

ROTATE_BYTES = 10 * 1024 * 1024

ROTATED_KEPT = 3
"""Rotated logs beside the one that is written: 40 MiB of one container at most."""

_WHOLE = re.compile(rb"^\S+ \S+ F ", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Line:
    """One whole line. `at` is nanoseconds since the epoch; `source` whose it is."""

    at: int
    source: str
    stream: str
    text: str


def rotated(path: Path, number: int = 1) -> Path:
    """Where a log is kept when it was rotated so many times."""
    return path.with_name(f"{path.name}.{number}")


def rotate(path: Path) -> None:
    """Make room for a new log: each older one moves on, and the oldest goes.

    From the oldest on, so that nothing but the oldest is lost to who is killed in here.
    """
    for number in range(ROTATED_KEPT, 0, -1):
        older = rotated(path, number - 1) if number > 1 else path
        if older.exists():
            older.replace(rotated(path, number))


def older(path: Path) -> list[Path]:
    """What was rotated of a log, the newest first."""
    numbers = range(1, ROTATED_KEPT + 1)
    return [rotated(path, number) for number in numbers if rotated(path, number).exists()]


def tail(path: Path, count: int) -> list[str]:
    """The text of the last `count` lines; none for a log that does not exist."""
    return [line.text for line in last(path, count)]


def last(path: Path, count: int, source: str = "") -> list[Line]:
    """The last `count` lines, the oldest first, also out of the rotated logs."""
    found = _last_of(path, count, source)
    for log in older(path):
        if len(found) < count:
            found = _last_of(log, count - len(found), source) + found
    return found


def merged(
    sources: Mapping[str, Path], count: int, keep: Callable[[Line], bool] | None = None
) -> list[Line]:
    """The last `count` lines of several logs together, in the order of time.

    With `keep` all is read for those that it accepts, one log after the other.
    """
    lines: list[Line] = []
    for name, path in sources.items():
        if keep is None:
            lines += last(path, count, name)
        elif count:
            lines += [line for line in last(path, EVERY, name) if keep(line)][-count:]
    return sorted(lines, key=lambda line: line.at)[-count:] if count else []


def follow(
    sources: Callable[[], Mapping[str, Path]],
    count: int,
    pause: Callable[[float], None] = time.sleep,
    keep: Callable[[Line], bool] | None = None,
) -> Iterator[Line]:
    """The last `count` lines and then what comes, without end.

    `sources` is asked again between looks, since instances come and go. `pause` gets
    seconds and may raise to end it. `keep` says which lines are wanted, all unless given.
    """
    current = dict(sources())
    # Where the following begins is fixed first: a line in between comes twice to nobody
    # and is lost to nobody, as the last ones are read up to here.
    readers = {name: _Reader(name, path, at_end=True) for name, path in current.items()}
    yield from merged(current, count, keep)
    accept = keep or (lambda _: True)
    try:
        while True:
            lines = [line for reader in readers.values() for line in reader.read()]
            yield from filter(accept, sorted(lines, key=lambda line: line.at))
            pause(FOLLOW_SECONDS)
            current = dict(sources())
            for name in readers.keys() - current.keys():
                yield from filter(accept, readers.pop(name).finish())
            for name in current.keys() - readers.keys():
                readers[name] = _Reader(name, current[name], at_end=False)
    finally:
        for reader in readers.values():
            reader.close()


class Joiner:
    """Puts the parts of lines together, for each stream of one log."""

    def __init__(self, source: str, parts: Mapping[str, bytes] | None = None) -> None:
        """`parts` are those that are there already, by stream."""
        self._source = source
        self._parts: dict[str, bytes] = dict(parts or {})

    @property
    def parts(self) -> Mapping[str, bytes]:
        """What has begun and not ended."""
        return dict(self._parts)

    def add(self, raw: bytes) -> Line | None:
        """The whole line that `raw` ends, if it does. What is no log line is passed over."""
        fields = raw.split(b" ", 3)
        at = _nanoseconds(fields[0]) if len(fields) == 4 else None
        if at is None:
            return None
        stream = fields[1].decode("ascii", "replace")
        text = self._parts.pop(stream, b"") + fields[3]
        if fields[2] == b"P" and len(text) < MAX_LINE:
            self._parts[stream] = text
            return None
        return Line(at, self._source, stream, text.decode("utf-8", "replace"))


class _Reader:
    """Reads on in one log, over its rotation."""

    def __init__(self, name: str, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._joiner = Joiner(name)
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open(path, os.SEEK_END if at_end else os.SEEK_SET)

    def read(self) -> list[Line]:
        """What was written since the last look."""
        lines = self._drain()
        if self._is_stale():
            # The old file is complete by now: conmon writes to a new one.
            lines += self._drain()
            for path in self._newer():
                self.close()
                self._open(path)
                lines += self._drain()
        return lines

    def finish(self) -> list[Line]:
        lines = self.read()
        self.close()
        return lines

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _newer(self) -> list[Path]:
        """The files behind the open one, the newest last: it may have been rotated twice."""
        if self._file is None:
            return [self._path]
        ours, newer = os.fstat(self._file.fileno()), [self._path]
        for path in older(self._path):
            # Rotated meanwhile: then it is met by the next look.
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), ours):
                    return newer
            newer.insert(0, path)
        # So old that it is gone: what is still there came behind it.
        return newer

    def _open(self, path: Path, whence: int = os.SEEK_SET) -> None:
        try:
            self._file = path.open("rb")
            self._file.seek(0, whence)
        except FileNotFoundError:
            self._file = None

    def _is_stale(self) -> bool:
        """Whether the log's path leads to another file than the open one."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or not os.path.samestat(now, os.fstat(self._file.fileno()))

    def _drain(self) -> list[Line]:
        if self._file is None:
            return []
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        found = (self._joiner.add(raw) for raw in whole)
        return [line for line in found if line is not None]


def _last_of(path: Path, count: int, source: str) -> list[Line]:
    """The last lines of one file, read from its end in blocks."""
    if count <= 0:
        return []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return []
    with file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        # One end more than asked for: the first found may be the end of a line's parts.
        step = BLOCK
        while position > 0 and len(_WHOLE.findall(data)) <= count:
            step = min(step, position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
            step *= 2
        if position > 0:
            data = data.partition(b"\n")[2]
    joiner = Joiner(source)
    found = (joiner.add(raw) for raw in data.split(b"\n"))
    return [line for line in found if line is not None][-count:]


def _nanoseconds(stamp: bytes) -> int | None:
    text = stamp.decode("ascii", "replace")
    whole, _, rest = text.partition(".")
    digits, zone = rest[:9], rest[9:]
    try:
        seconds = int(datetime.fromisoformat(whole + zone).timestamp())
        return seconds * 1_000_000_000 + int(digits)
    except ValueError:
        return None


def size(path: Path) -> int:
    """The bytes of a log with what was rotated of it."""
    return sum(one.stat().st_size for one in (*older(path), path))


def remove(paths: Sequence[Path]) -> None:
    """Delete logs with what was rotated of them; absent ones are fine."""
    for path in paths:
        for one in (*older(path), path):
            one.unlink(missing_ok=True)
    for directory in {path.parent for path in paths if path.parent.is_dir()}:
        files.sync_directory(directory)
