"""The output of an app's instances, across its releases."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paas.engine import logs
from paas.engine.logs import Line
from paas.errors import PaasError


class NoSuchProcess(PaasError):
    """No instance of that name has written anything."""


@dataclass(frozen=True)
class Wanted:
    """Which lines are asked for, and how.

    `process` is a process type (`web`) or one instance (`web.1`); `since` is in seconds since
    the epoch; `matches` looks at a line's text.
    """

    lines: int
    follow: bool = False
    process: str | None = None
    since: float | None = None
    release: int | None = None
    matches: Callable[[str], object] | None = None
    json: bool = False


class Releases:
    """Which release a line is from: by its container, and when it was written."""

    def __init__(self, load: Callable[[], Mapping[str, list[tuple[float, int]]]]) -> None:
        """`load` gives, by container, since when it was of which release, the first first."""
        self._load = load
        self._known = dict(load())

    def of(self, line: Line) -> int | None:
        """The number; None for what is no instance's."""
        container = container_of(Path(line.source))
        if container not in self._known:
            self._known.update({container: [], **self._load()})
        spans = self._known[container]
        # What it says before it is adopted is of the release that it was started for.
        place = bisect.bisect([since for since, _ in spans], line.at / 1e9)
        return spans[max(0, place - 1)][1] if spans else None


def show(directory: Path, wanted: Wanted, releases: Releases, out: Callable[[bytes], None]) -> None:
    """Write the last lines of all instances in the order of time, then what comes."""
    found = sources(directory, wanted.process)
    if wanted.process is not None and not found:
        raise NoSuchProcess(
            f"There is no output of {wanted.process}",
            resolution="paas ps APP lists the processes of an app.",
        )
    keep = _filter(wanted, releases)
    read: Iterable[Line] = logs.merged(found, wanted.lines, keep)
    if wanted.follow:
        read = logs.follow(lambda: sources(directory, wanted.process), wanted.lines, keep=keep)
    for line in read:
        out(as_json(line, releases) if wanted.json else shown(line))


def _filter(wanted: Wanted, releases: Releases) -> Callable[[Line], bool] | None:
    if wanted.since is None and wanted.release is None and wanted.matches is None:
        return None

    def keep(line: Line) -> bool:
        return (
            (wanted.since is None or line.at >= wanted.since * 1e9)
            and (wanted.matches is None or bool(wanted.matches(line.text)))
            and (wanted.release is None or releases.of(line) == wanted.release)
        )

    return keep


def sources(directory: Path, process: str | None) -> dict[str, Path]:
    """The logs of a directory by file name; only those of `process` when it is given."""
    return {
        path.name: path
        for path in directory.glob("*.log")
        if process is None or process in (name_of(path), type_of(path))
    }


def name_of(log: Path) -> str:
    """`web.1` for `web.1.<container>.log`."""
    return log.name.removesuffix(".log").rpartition(".")[0]


def type_of(log: Path) -> str:
    """`web` for `web.1.<container>.log`."""
    return name_of(log).rpartition(".")[0]


def container_of(log: Path) -> str:
    """The container whose output it is."""
    return log.name.removesuffix(".log").rpartition(".")[2]


def shown(line: Line) -> bytes:
    """One line as Heroku writes it: time, `app[web.1]:`, text."""
    return f"{_time(line)} app[{name_of(Path(line.source))}]: {line.text}\n".encode()


def as_json(line: Line, releases: Releases) -> bytes:
    """One line as an object on a line."""
    release = releases.of(line)
    entry = {
        "time": _time(line),
        "process": name_of(Path(line.source)),
        "stream": line.stream,
        "release": None if release is None else f"v{release}",
        "text": line.text,
    }
    return f"{json.dumps(entry)}\n".encode()


def _time(line: Line) -> str:
    return datetime.fromtimestamp(line.at / 1e9, UTC).isoformat(timespec="microseconds")


def ended(directory: Path, running: set[str]) -> list[Path]:
    """The logs of containers that run no more."""
    return [path for path in directory.glob("*.log") if container_of(path) not in running]


def prune(found: Iterable[Path], *, count: int, size: int, oldest: float) -> None:
    """Delete logs of ended containers beyond so many, so many bytes, or written last before
    `oldest` (epoch seconds).
    """
    room, kept, gone = size, 0, []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        room -= logs.size(path)
        if kept >= count or room < 0 or path.stat().st_mtime < oldest:
            gone.append(path)
        else:
            kept += 1
    logs.remove(gone)
