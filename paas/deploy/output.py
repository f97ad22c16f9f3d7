"""Where the output of a deploy goes: to the caller for as long as there is one, and a log."""

from __future__ import annotations

import os
from pathlib import Path

from paas.host.streams import write_all

PATIENCE_SECONDS = 30.0
"""How long a caller may take nothing: a laptop that was closed would hold its deploy for
the minutes until TCP gives up, and every later push behind it."""


class Output:
    """Writes to a caller's descriptor, and to a log once there is one to keep."""

    def __init__(self, descriptor: int, patience_s: float = PATIENCE_SECONDS) -> None:
        self._caller: int | None = descriptor
        self._patience_s = patience_s
        self._log: int | None = None

    def keep(self, path: Path) -> None:
        """From here on, write to the file `path` as well."""
        self._log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Write all of `data`. A caller that is gone or takes nothing ends only its own copy."""
        if self._log is not None:
            write_all(self._log, data)
        if self._caller is not None and not self._tell(self._caller, data):
            self._caller = None

    def close(self) -> None:
        """Close the log; the caller's descriptor is the caller's."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _tell(self, caller: int, data: bytes) -> bool:
        """Write to the caller without ever hanging on it; False when it is lost."""
        try:
            write_all(caller, data, self._patience_s)
        except BrokenPipeError:
            return False
        return True
