"""A disk of a server's own: a file with a file system, which can be full and lose its power."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.push.outcome import eventually
from tests.push.server import HOME, Server
from tests.push.test_crash import reboot

EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = struct.pack("I", 2)
"""Linux, fs/ext4/ext4.h: from now on nothing reaches the disk, not even the journal."""

GIB = 1 << 30
BALLAST = "ballast"


class Disk:
    """ext4 on a loop device; what is written is on it when it was synced, as on any disk."""

    def __init__(self, image: Path, mounted: Path) -> None:
        self.image = image
        self.mounted = mounted

    @contextlib.contextmanager
    def power_failure(self, server: Server) -> Iterator[None]:
        """The disk has no power from now on, and behind the block no process has: what is
        left then is what was synced, as for the next boot.
        """
        self._lose_power()
        try:
            yield
        finally:
            reboot(server)
            self._unmount()
            self._copy()
            self.mount()

    def _lose_power(self) -> None:
        opened = os.open(self.mounted, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(opened, EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH)
        finally:
            os.close(opened)

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True)

    def _unmount(self) -> None:
        # An engine that a test looked through holds its database until it is collected.
        gc.collect()
        # A process that was killed holds its files until the kernel has taken it apart.
        command = ["umount", self.mounted]
        eventually(lambda: subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0)

    def _copy(self) -> None:
        """Go on with what the disk holds. Mount namespaces that others have made meanwhile may
        still have the file system of before: mounted again, it would be without power.
        """
        copy = self.image.with_name("copy")
        subprocess.run(["cp", "--sparse=always", self.image, copy], check=True)
        copy.rename(self.image)

    @contextlib.contextmanager
    def full(self, left: int) -> Iterator[None]:
        """Only `left` bytes are free while the block lasts."""
        space = os.statvfs(self.mounted)
        ballast = self.mounted / BALLAST
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left)
        try:
            yield
        finally:
            ballast.unlink()


@contextlib.contextmanager
def disk(size: int) -> Iterator[Disk]:
    """A new one with room for `size` bytes, which take none before they are written."""
    HOME.mkdir(mode=0o755, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=HOME, prefix="d"))
    folder.chmod(0o711)
    made = Disk(folder / "image", folder / "mounted")
    made.mounted.mkdir(mode=0o711)
    try:
        with made.image.open("wb") as file:
            file.truncate(size)
        options = ("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-m", "0")
        subprocess.run(["mkfs.ext4", "-q", *options, made.image], check=True)
        made.mount()
        try:
            yield made
        finally:
            made._unmount()
    finally:
        shutil.rmtree(folder)
