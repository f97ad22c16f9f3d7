"""Running the distribution's own programs inside a root filesystem that is being made.

For packages and their scripts only, which the host trusts as it trusts its own; code of
users runs in containers. What is mounted is seen by the program alone and ends with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host import processes, syscalls

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
TAIL = 20
"""Lines of what a program said last, for an error."""
CHECK_MIRROR = "Check that this server reaches its package mirror: `apt-get update`."


class StepFailed(PaasError):
    """A program that makes a root filesystem failed."""


@dataclass(frozen=True)
class Chroot:
    """A root filesystem to run programs in.

    `binds` are files and directories of the host seen at a path in it, which must exist:
    what a program writes to one of them does not become part of the root filesystem.
    """

    root: Path
    binds: Mapping[str, Path]

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a program to its end. Raises `StepFailed` with the last lines of its output."""
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            process = processes.spawn(
                ["/usr/bin/env", *argv],
                stdout=write,
                stderr=write,
                env=env,
                preexec=self._enter,
            )
        finally:
            os.close(write)
        tail = b""
        with os.fdopen(read, "rb", buffering=0) as output:
            while chunk := output.read(1 << 16):
                tail = (tail + chunk)[-8192:]
        if (code := process.wait()) != 0:
            raise StepFailed(
                f"{argv[0]} failed: {processes.describe_code(code)}",
                tail.decode("utf-8", "replace").splitlines()[-TAIL:],
                CHECK_MIRROR,
            )

    def _enter(self) -> None:
        """In the child: mounts of its own, then the new root."""
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("proc", self.root / "proc", "proc")
        syscalls.mount("dev", self.root / "dev", "tmpfs", data="mode=0755")
        for name in _DEVICES:
            place = self.root / "dev" / name
            place.touch()
            syscalls.mount(Path("/dev") / name, place, flags=syscalls.MS_BIND)
        for path, source in self.binds.items():
            syscalls.mount(source, f"{self.root}{path}", flags=syscalls.MS_BIND)
        os.chroot(self.root)
        os.chdir("/")
