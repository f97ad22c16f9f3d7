"""Reads the logs that requests are counted from: a short line each, written by nginx.

<milliseconds.since.epoch> <status> <seconds> <bytes> <seconds to the app's header, or ->
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.model.traffic import Traffic

MOST_BYTES = 16 * 2**20
"""Read at once: what a busy app writes in minutes; the rest is for the next time."""

MINUTE_S = 60

SECOND, MILLISECOND = len("1764000000"), len("1764000000.123")
"""Where they end in a line: until the year 2286."""

REFUSED = re.compile(rb" 50[234] \d+\.\d+ \d+ (?:[^\n]* )?-$", re.MULTILINE)
"""A line of what `Traffic.refused` counts."""


@dataclass(frozen=True)
class Mark:
    """A place in a log: of which file (its inode), and behind how many bytes."""

    file: int = 0
    position: int = 0


class TrafficLogs:
    """The logs below one folder, `<app>.log` each, and `<app>.log.1` after a rotation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mark(self, app: str) -> Mark:
        """The end of an app's log as it is now."""
        try:
            found = self._log(app).stat()
        except FileNotFoundError:
            return Mark()
        return Mark(found.st_ino, found.st_size)

    def since(self, app: str, mark: Mark) -> tuple[Mapping[int, Traffic], Mark]:
        """What came behind a mark, by the minute's start, and the mark to go on from."""
        counted: dict[int, Traffic] = {}
        for whole, after in self._behind(app, mark):
            count_lines(whole.splitlines(), counted)
            mark = after
        return counted, mark

    def served_since(self, app: str, mark: Mark) -> tuple[int, int]:
        """How many requests came behind a mark, and how many of them no instance answered.

        For the end of a deploy, when visitors wait for the processor: `since` takes several times
        as much of it.
        """
        whole = b"".join(lines for lines, _ in self._behind(app, mark))
        return whole.count(b"\n"), len(REFUSED.findall(whole))

    def _behind(self, app: str, mark: Mark) -> Iterator[tuple[bytes, Mark]]:
        """The whole lines of each file, with the mark behind them."""
        for path in (self._log(app).with_suffix(".log.1"), self._log(app)):
            try:
                with path.open("rb") as log:
                    file = path.stat().st_ino
                    if path.suffix == ".1" and file != mark.file:
                        continue
                    log.seek(mark.position if file == mark.file else 0)
                    start, data = log.tell(), log.read(MOST_BYTES)
            except FileNotFoundError:
                continue
            whole = data[: data.rfind(b"\n") + 1]
            yield whole, Mark(file, start + len(whole))
            if len(data) == MOST_BYTES:
                break

    def _log(self, app: str) -> Path:
        return self._folder / f"{app}.log"


def count_lines(lines: Iterable[bytes], counted: dict[int, Traffic]) -> None:
    """Add each request to its minute. A line that was cut off by a crash is passed over.

    Those of one second that are alike but for the millisecond are read once: on a busy server
    most are, and it has better things to do.
    """
    alike = Counter(line[:SECOND] + line[MILLISECOND:] for line in lines)
    for line, times in alike.items():
        try:
            written, status, seconds, size, header = line.split(b" ", 4)
            second = int(written)
            minute = second - second % MINUTE_S
            numbers = int(status), int(seconds.replace(b".", b"")), int(size)
        except ValueError:
            continue
        traffic = counted.get(minute)
        if traffic is None:
            traffic = counted[minute] = Traffic()
        traffic.count(*numbers, by_app=not header.endswith(b"-"), times=times)
