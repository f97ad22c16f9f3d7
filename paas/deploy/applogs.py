"""The output of an app's instances, across its releases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from paas.engine import logs
from paas.engine.logs import Line
from paas.errors import PaasError

KEPT_LOGS = 30
"""Of one app: the logs of its newest instances, crashed ones among them."""


class NoSuchProcess(PaasError):
    """No instance of that name has written anything."""


def show(
    directory: Path,
    *,
    lines: int,
    follow: bool,
    process: str | None,
    out: Callable[[bytes], None],
) -> None:
    """Write the last lines of all instances in the order of time, then what comes.

    `process` is a process type (`web`) or one instance (`web.1`).
    """
    found = sources(directory, process)
    if process is not None and not found:
        raise NoSuchProcess(
            f"There is no output of {process}",
            resolution="paas ps APP lists the processes of an app.",
        )
    read: Iterable[Line] = logs.merged(found, lines)
    if follow:
        read = logs.follow(lambda: sources(directory, process), lines)
    for line in read:
        out(shown(line))


def sources(directory: Path, process: str | None) -> dict[str, Path]:
    """The logs of a directory by file name; only those of `process` when it is given."""
    return {
        path.name: path
        for path in directory.glob("*.log")
        if process is None or process in (name_of(path), name_of(path).rpartition(".")[0])
    }


def name_of(log: Path) -> str:
    """`web.1` for `web.1.<container>.log`."""
    return log.name.removesuffix(".log").rpartition(".")[0]


def shown(line: Line) -> bytes:
    """One line as Heroku writes it: time, `app[web.1]:`, text."""
    at = datetime.fromtimestamp(line.at / 1e9, UTC).isoformat(timespec="microseconds")
    return f"{at} app[{name_of(Path(line.source))}]: {line.text}\n".encode()


def prune(directory: Path, running: set[str]) -> None:
    """Delete the oldest logs beyond `KEPT_LOGS`, never that of a running container."""
    ended = [
        path
        for path in directory.glob("*.log")
        if path.name.removesuffix(".log").rpartition(".")[2] not in running
    ]
    newest_first = sorted(ended, key=lambda path: path.stat().st_mtime, reverse=True)
    logs.remove(newest_first[KEPT_LOGS:])
