"""Which nginx is installed, and what one says that it was built with."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from paas.host.files import write_atomic
from paas.host.processes import run

ANSWER_S = 30.0


def installed() -> str:
    """Its path, also where it is not there (between two steps of a package manager)."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "/usr/sbin/nginx"


class Builds:
    """`nginx -V`, asked again when the program was replaced.

    Remembered for all processes: it takes one of its own, and every command, which is a process
    too, would spend some 20 ms of the processor on it, right behind the switch of a deploy.
    """

    def __init__(self, record: Path) -> None:
        """In `record`, whose directory is there when something is asked."""
        self._record = record

    def of(self, program: str) -> str:
        """What this program says. Raises `FileNotFoundError`, `ProcessFailed`."""
        which = _identity(program)
        with suppress(FileNotFoundError):
            known, _, said = self._record.read_bytes().partition(b"\n")
            if known == which:
                return said.decode("utf-8", "replace")
        said = run([program, "-V"], timeout=ANSWER_S).stderr
        # Not the words of one that took its place meanwhile.
        if _identity(program) == which:
            write_atomic(self._record, which + b"\n" + said)
        return said.decode("utf-8", "replace")


def _identity(program: str) -> bytes:
    found = Path(program).stat()
    return b"%d %d %d %d" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def version_of(build: str) -> tuple[int, ...]:
    """`(1, 22, 1)` of what `nginx -V` prints; none of a text without a version."""
    found = re.search(r"nginx/([0-9]+(?:\.[0-9]+)*)", build)
    return tuple(map(int, found[1].split("."))) if found else ()
