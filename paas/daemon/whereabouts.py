"""On which machine the data were last, and whether all of them came from there.

The file says so, and an attribute of it the same: a copy that was made without attributes has
lost those of layers too, by which files that an upper one removed are hidden.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic
from paas.model.layout import Layout

MARK = "trusted.paas.machine"
MACHINE_ID = Path("/etc/machine-id")


class UnusableCopy(PaasError):
    """The data are a copy that nothing should be started on."""


@dataclass(frozen=True)
class Place:
    """A machine (machine-id(5), `uname -m`), and whether the server has data open there."""

    machine: str
    architecture: str
    running: bool


class Whereabouts:
    """The record of one PaaS, below its root. Where none can be written nothing is refused."""

    def __init__(self, layout: Layout, machine_id: Path = MACHINE_ID) -> None:
        self._root = layout.root
        self._path = layout.machine
        self._machine_id = machine_id

    def check(self) -> bool:
        """Whether the data were last on another machine. Raises `UnusableCopy`."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            # Nothing has run here yet, or a version that wrote none.
            return False
        if self._attribute() != text:
            raise self._refusal(
                "was copied without its extended attributes, which images and quotas need",
                "Copy it again as the README says, with --xattrs-include='*' on both ends.",
            )
        last, here = Place(**json.loads(text)), self._here(running=False)
        if last.architecture != here.architecture:
            raise self._refusal(
                f"has images for {last.architecture}, and this machine is {here.architecture}",
                "Move it to a machine of that architecture.",
            )
        if last.running and last.machine != here.machine:
            raise self._refusal(
                "was copied from a server that ran: its databases may be torn",
                "Stop that one (paas down) and copy it again.",
            )
        return last.machine != here.machine

    def entered(self) -> None:
        """The server runs here: what is copied from now on is not whole."""
        self._write(self._here(running=True))

    def left(self) -> None:
        """Everything is stopped: it can be copied."""
        self._write(self._here(running=False))

    def _write(self, place: Place) -> None:
        text = json.dumps(asdict(place))
        if self._path.exists() and self._path.read_text() == text == self._attribute():
            return
        try:
            write_atomic(
                self._path, text, 0o600, prepare=lambda fd: os.setxattr(fd, MARK, text.encode())
            )
        except OSError:
            # A disk that is full, or broken, keeps no server from starting nor from stopping.
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _attribute(self) -> str | None:
        try:
            return os.getxattr(self._path, MARK).decode()
        except OSError as error:
            # None of it, or none of any on the file system that it was copied to.
            if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
                return None
            raise

    def _here(self, *, running: bool) -> Place:
        machine = ""
        with suppress(FileNotFoundError):
            machine = self._machine_id.read_text().strip()
        return Place(machine, platform.machine(), running)

    def _refusal(self, why: str, remedy: str) -> UnusableCopy:
        last = f"Should there be no other copy, use this one: rm {self._path}"
        return UnusableCopy(f"{self._root} {why}", resolution=f"{remedy} {last}")
