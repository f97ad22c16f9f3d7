"""The installed versions of this program, beside each other, and the one that is in use.

install.sh makes them: `PROGRAM/versions/ID` is a Python environment with the command `paas`
in front of it, `PROGRAM/current` leads to the one in use, `PROGRAM/staged` to one that was
built to follow it. Everything that is started goes through `current`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import sync_directory
from paas.host.processes import run


class NotInstalled(PaasError):
    """This program runs from a checkout, not from where install.sh puts it."""


@dataclass(frozen=True)
class Versions:
    """The versions below one directory."""

    program: Path

    @classmethod
    def here(cls) -> Versions:
        """Those that the running program is one of. Raises `NotInstalled`."""
        prefix = Path(sys.prefix).resolve()
        if prefix.parent.name != "versions":
            raise NotInstalled(
                f"The program in {prefix} was not installed by install.sh",
                resolution="Run ./install.sh in the checkout that you want to run.",
            )
        return cls(prefix.parents[1])

    @property
    def current(self) -> Path:
        """The way to the one in use, whichever it is."""
        return self.program / "current"

    @property
    def python(self) -> Path:
        """The interpreter of the one in use: what units and processes are started by."""
        return self.current / "bin/python"

    @property
    def in_use(self) -> str:
        """The id of the one in use."""
        return self.current.resolve().name

    @property
    def staged(self) -> str:
        """The id of the one that install.sh built last. Raises `NotInstalled`."""
        directory = (self.program / "staged").resolve()
        if directory.parent != self.program / "versions" or not (directory / "complete").exists():
            raise NotInstalled(
                "No new version has been built",
                resolution="Name the checkout to upgrade from: paas upgrade DIR",
            )
        return directory.name

    def directory(self, id: str) -> Path:
        return self.program / "versions" / id

    def use(self, id: str) -> None:
        """Have everything that starts from now on be of version `id`: one rename."""
        beside = self.program / "next"
        beside.unlink(missing_ok=True)
        beside.symlink_to(f"versions/{id}")
        beside.replace(self.current)
        sync_directory(self.program)

    def number_of(self, id: str) -> str:
        """What `paas version` says in it. Raises `ProcessFailed` for one that cannot start."""
        script = "from paas.model.version import VERSION; print(VERSION)"
        return run([self.directory(id) / "bin/python", "-I", "-c", script]).text
