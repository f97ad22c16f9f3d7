"""The one place where an error becomes words and an exit code."""

from __future__ import annotations

import errno
import os
import time
import traceback
from pathlib import Path

from paas.errors import PaasError
from paas.model.report import Report

INTERRUPTED, READER_GONE, BUG = 130, 141, 3


class Errors:
    """Tells users of errors; keeps the traces of bugs in `bugs`, a directory."""

    def __init__(self, bugs: Path) -> None:
        self._bugs = bugs

    def tell(self, error: BaseException, report: Report) -> int:
        """Report the error and return the exit code of a command that ends with it.

        A `PaasError` is told with what to do next. Anything else is a bug of ours: the
        user sees no traceback, but where it was kept.
        """
        match error:
            case PaasError():
                for line in (error.brief, *error.details, error.resolution):
                    if line:
                        report.warn(line)
                return error.code
            case KeyboardInterrupt():
                return INTERRUPTED
            case BrokenPipeError():
                return READER_GONE
            case SystemExit():
                return error.code if isinstance(error.code, int) else int(error.code is not None)
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                report.warn("The disk is full")
                report.warn("Free some space, then try again: `paas df` says where it went.")
                return 1
            case _:
                report.warn("Something went wrong inside paas, and it is not your fault")
                report.warn(self._keep(error))
                return BUG

    def _keep(self, error: BaseException) -> str:
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}.txt"
        path = self._bugs / name
        trace = "".join(traceback.format_exception(error))
        try:
            self._bugs.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(trace)
        except OSError as problem:
            return f"{type(error).__name__}; its trace could not be kept: {problem}"
        return f"Please report it with the file {path} on the server."
