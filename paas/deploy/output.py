"""Where the output of a deploy goes: to the caller for as long as there is one, and a log."""

from __future__ import annotations

import os
from pathlib import Path


class Output:
    """Writes to a caller's descriptor, and to a log once there is one to keep."""

    def __init__(self, descriptor: int) -> None:
        self._caller: int | None = descriptor
        self._log: int | None = None

    def keep(self, path: Path) -> None:
        """From here on, write to the file `path` as well."""
        self._log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Write all of `data`. A caller that is gone (EPIPE) ends only its own copy."""
        if self._log is not None:
            write_all(self._log, data)
        if self._caller is not None:
            try:
                write_all(self._caller, data)
            except BrokenPipeError:
                self._caller = None

    def close(self) -> None:
        """Close the log; the caller's descriptor is the caller's."""
        if self._log is not None:
            os.close(self._log)
            self._log = None


def write_all(descriptor: int, data: bytes) -> None:
    """Write until nothing is left. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
