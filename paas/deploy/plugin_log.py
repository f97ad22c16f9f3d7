"""What plugins say while nobody listens: one file for each, of a bounded size."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from paas.host.streams import write_all
from paas.model.layout import Layout
from paas.model.report import Lines, Report

MOST = 1 << 20
"""Bytes of a file, behind which it becomes the older one of two."""


def log_of(layout: Layout, name: str) -> Path:
    """The file of a plugin's log."""
    return layout.logs / "plugins" / f"{name}.log"


def log_report(layout: Layout, name: str) -> Report:
    """A report that goes into the log of a plugin."""
    path = log_of(layout, name)

    def write(data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if path.stat().st_size > MOST:
                path.rename(path.with_suffix(".log.1"))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)

    return Lines(write)


def heading(hook: str, app: str, event: str, at: float) -> str:
    """The line that begins the output of one call."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    return f"{when} {hook}: {' '.join(filter(None, (app, event)))}"


def tail(layout: Layout, name: str, count: int) -> list[str]:
    """The last `count` lines of a plugin's log."""
    try:
        lines = log_of(layout, name).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count else []


def forget(layout: Layout, name: str) -> None:
    """Remove the log of a plugin."""
    log_of(layout, name).unlink(missing_ok=True)
    log_of(layout, name).with_suffix(".log.1").unlink(missing_ok=True)
