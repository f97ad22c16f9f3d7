"""One control group: who is in it, ending them, removing it.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroups(7).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host.identity import open_pid
from paas.host.waiting import wait_until

KILL_SECONDS = 10.0
FREEZE_SECONDS = 10.0


class CgroupStuck(PaasError):
    """Processes of a group survive SIGKILL: they hang in the kernel."""


@dataclass(frozen=True)
class Group:
    """One group: a directory in version 2, one per hierarchy in version 1.

    The first directory is the one whose processes count. It may not exist: asking an
    absent group for its processes gives none, killing or removing it does nothing.
    """

    name: str
    directories: tuple[Path, ...]
    shared: tuple[Path, ...] = ()

    def create(self) -> tuple[Path, ...]:
        """Make it and return the directories that a process enters."""
        for directory in (*self.directories, *self.shared):
            directory.mkdir(parents=True, exist_ok=True)
        return (*self.directories, *self.shared)

    def enter(self) -> None:
        """Make the group, and move this process into it."""
        for directory in self.create():
            (directory / "cgroup.procs").write_text("0")

    def processes(self) -> list[int]:
        """The ids of the processes in it and below."""
        found: list[int] = []
        for directory in _subtree(self.directories[0]):
            # Gone in between: then it has none.
            with suppress(FileNotFoundError):
                found += map(int, (directory / "cgroup.procs").read_text().split())
        return found

    def kill(self) -> None:
        """SIGKILL to all in it and below, fork bombs included; returns when they are dead.

        Raises `CgroupStuck` when some are not, after ten seconds.
        """
        directory = self.directories[0]
        if not directory.exists():
            return
        if (directory / "cgroup.kill").exists():
            (directory / "cgroup.kill").write_text("1")
        elif (directory / "pids.max").exists():
            # Nobody forks any more, so the sweep below comes to an end.
            (directory / "pids.max").write_text("0")
        # What is frozen takes no signal in version 1, SIGKILL neither.
        self.thaw()
        deadline = time.monotonic() + KILL_SECONDS
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise CgroupStuck(
                    f"Processes {pids} of {self.name} survive SIGKILL",
                    resolution="They hang in the kernel (/proc/PID/stack): restart the machine.",
                )
            _kill_and_wait(pids, deadline)

    def remove(self) -> None:
        """Kill what is in it and remove its directories. Shared ones stay."""
        self.kill()
        deadline = time.monotonic() + KILL_SECONDS
        for directory in self.directories:
            for path in reversed(list(_subtree(directory))):
                _remove_directory(path, deadline)

    @property
    def frozen(self) -> bool:
        """Whether its processes are held still."""
        for directory in self.directories:
            with suppress(FileNotFoundError):
                return (directory / "freezer.state").read_text().strip() == "FROZEN"
            with suppress(FileNotFoundError):
                return _flat(directory / "cgroup.events").get("frozen", 0) == 1
        return False

    def freeze(self) -> None:
        """Hold its processes still; returns when none runs. Raises `CgroupStuck`."""
        if self._set_frozen("FROZEN", "1") and not wait_until(lambda: self.frozen, FREEZE_SECONDS):
            self.thaw()
            raise CgroupStuck(
                f"The processes of {self.name} do not stand still",
                resolution="They wait for the kernel (/proc/PID/stack); try it again.",
            )

    def thaw(self) -> None:
        """Let its processes go on; harmless when they do."""
        self._set_frozen("THAWED", "0")

    def _set_frozen(self, first: str, second: str) -> bool:
        """Version 1's word, or version 2's; False for a group without the file."""
        for directory in self.directories:
            for file, word in (("freezer.state", first), ("cgroup.freeze", second)):
                # Opened without making it: a group that is gone stays gone.
                with suppress(FileNotFoundError):
                    descriptor = os.open(directory / file, os.O_WRONLY | os.O_CLOEXEC)
                    try:
                        os.write(descriptor, word.encode())
                    finally:
                        os.close(descriptor)
                    return True
        return False

    def oom_kills(self) -> int:
        """How many processes in it were killed for lack of memory."""
        for directory in self.directories:
            for file in ("memory.events", "memory.oom_control"):
                with suppress(FileNotFoundError):
                    return _flat(directory / file).get("oom_kill", 0)
        return 0

    def forks_refused(self) -> int:
        """How many processes could not be made in it for its limit (pids.events, `max`)."""
        refused = 0
        for directory in self.directories:
            with suppress(FileNotFoundError):
                refused = max(refused, _flat(directory / "pids.events").get("max", 0))
        return refused


def _subtree(directory: Path) -> Iterator[Path]:
    """`directory` and all below, parents first; nothing if it is gone."""
    try:
        entries = [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir()]
    except FileNotFoundError:
        return
    yield directory
    for entry in entries:
        yield from _subtree(entry)


def _kill_and_wait(pids: list[int], deadline: float) -> None:
    """SIGKILL to each, through a pidfd, so that a reused id is never hit after the look."""
    poll = select.poll()
    waiting: set[int] = set()
    try:
        for pid in pids:
            descriptor = open_pid(pid)
            if descriptor is None:
                continue
            waiting.add(descriptor)
            poll.register(descriptor, select.POLLIN)
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        left = set(waiting)
        while left and (remaining := deadline - time.monotonic()) > 0:
            left -= {descriptor for descriptor, _ in poll.poll(remaining * 1000)}
            for descriptor in waiting - left:
                with suppress(KeyError):
                    poll.unregister(descriptor)
    finally:
        for descriptor in waiting:
            os.close(descriptor)


def _remove_directory(path: Path, deadline: float) -> None:
    pause = 0.0005
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            # A process that is dead to its parent leaves its group a moment later, and the
            # kernel tells nobody when.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        else:
            return


def _flat(path: Path) -> dict[str, int]:
    """A flat keyed file."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {key: int(value) for key, value in pairs}
