"""Control groups: one subtree per PaaS, in version 2 or in the version 1 hierarchies.

Below the subtree are `instances/<id>` (what an OCI runtime fills) and `monitors/<id>` (what
starts and watches it); the daemon's children are in `commandgroups`. Nothing outside of the
subtree is touched, but for enabling controllers on the way down to it in version 2.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroups(7).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from paas.errors import PaasError
from paas.host.cgroup import Group
from paas.model.layout import Layout

CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
"""What limits are made of, by their names in version 2."""

V1_CONTROLLERS = {
    "cpu": "cpu",
    "cpuset": "cpuset",
    "io": "blkio",
    "memory": "memory",
    "pids": "pids",
}

OF_SYSTEMD = "name=systemd"

TRACKER = "pids"
"""The version 1 hierarchy whose list of processes is the group's."""

SHELTERS = ("memory", OF_SYSTEMD, "")
"""Version 1: further hierarchies a monitor leaves its caller's group in; "" is version 2's.

systemd ends a service by its own hierarchy, and a memory limit of the caller would hit
the monitor.
"""

MEMORY = "memory"

IO_WEIGHTS = {1: ("blkio.weight",), 2: ("io.weight", "io.bfq.weight")}
"""By version. That of bfq is there while its module is loaded."""


class CgroupsUnusable(PaasError):
    """The kernel or the surroundings give no control groups to work in."""


@dataclass(frozen=True)
class Cgroups:
    """The subtree `base` of one PaaS.

    `mounts` maps a controller to the root of its hierarchy; "" is the one of version 2.
    """

    version: int
    mounts: Mapping[str, Path]
    base: str

    @classmethod
    def detect(cls, layout: Layout) -> Cgroups:
        """Look at what is mounted, and at where the holder sits (`<run>/cgroup`).

        Raises `CgroupsUnusable` when nothing is mounted.
        """
        mounts = read_mounts(Path("/proc/self/mountinfo").read_text())
        version = 1 if TRACKER in mounts else 2
        if not mounts:
            raise CgroupsUnusable(
                "No cgroup file system is mounted",
                resolution="Mount it: mount -t cgroup2 none /sys/fs/cgroup",
            )
        base = f"/{layout.id}"
        if version == 2:
            with suppress(FileNotFoundError):
                base = (layout.run / "cgroup").read_text().strip()
        return cls(version, mounts, base)

    def delegated(self, leaf: str) -> Cgroups | None:
        """The same in this service's own group, which it must not sit in but in its `leaf`.

        None where no service manager has delegated a group to this process, as it has to
        every unit of ours (https://systemd.io/CGROUP_DELEGATION).
        """
        own = own_group(Path("/proc/self/cgroup").read_text())
        if self.version == 1 or "NOTIFY_SOCKET" not in os.environ or own == "/":
            return None
        return replace(self, base=own.removesuffix(f"/{leaf}"))

    @property
    def instances(self) -> Path:
        """Version 2: the directory of the group that all instances are in."""
        return self._directory("", "instances")

    def instance(self, name: str) -> Group:
        """Where an OCI runtime puts a container; the runtime makes it."""
        return self._group(f"instances/{name}", tuple(self.mounts))

    def place(self, hierarchy: str, name: str) -> Path | None:
        """The directory of instance `name` in one hierarchy; None where that is not mounted.

        In version 2 all controllers share the one directory.
        """
        mounted = "" if self.version == 2 else hierarchy
        return self._directory(mounted, f"instances/{name}") if mounted in self.mounts else None

    def regroup(self, name: str) -> None:
        """Put the processes of an instance back into its groups of all hierarchies.

        With version 1 systemd moves what is not its own to the root of those that it manages, when
        it is executed again (`systemctl daemon-reexec`, after each update of it): no limit holds
        any more. In its own hierarchy all stay where they are.
        """
        known = self.place(OF_SYSTEMD, name)
        if self.version == 2 or known is None:
            return
        inside = self.instance_path(name)
        for pid in Group(name, (known,)).processes():
            # One that has ended since needs no limit, and one that is removed no group.
            with suppress(ProcessLookupError, FileNotFoundError):
                for hierarchy in self._left(pid, inside):
                    directory = self._directory(hierarchy, f"instances/{name}")
                    with suppress(FileNotFoundError):
                        (directory / "cgroup.procs").write_text(str(pid))

    def _left(self, pid: int, inside: str) -> list[str]:
        """The hierarchies in which a process is not in the group `inside`: proc_pid_cgroup(5)."""
        groups = [
            line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        ]
        return [
            hierarchy
            for controllers, path in groups
            if path != inside and not path.startswith(f"{inside}/")
            for hierarchy in controllers.split(",")
            if hierarchy in self.mounts
        ]

    def instance_path(self, name: str) -> str:
        """The same as `cgroupsPath` of the OCI runtime specification."""
        return f"{self.base}/instances/{name}"

    def monitor(self, name: str) -> Group:
        """Where a container's monitor and the runtime that creates it live."""
        if self.version == 2:
            return self._group(f"monitors/{name}", ("",))
        group = self._group(f"monitors/{name}", (TRACKER,))
        shelters = tuple(
            self._directory(hierarchy, "monitors")
            for hierarchy in SHELTERS
            if hierarchy in self.mounts
        )
        return Group(group.name, group.directories, shelters)

    def leaf(self, name: str) -> Group:
        """A group of the PaaS itself that has none below it."""
        # With the memory hierarchy: what a command starts must not be left in its limit.
        return self._group(name, ("",) if self.version == 2 else (TRACKER, MEMORY))

    @cached_property
    def controllers(self) -> frozenset[str]:
        """Which of `CONTROLLERS` can limit an instance here."""
        if self.version == 1:
            return frozenset(
                name for name, mounted in V1_CONTROLLERS.items() if mounted in self.mounts
            )
        self.prepare()
        enabled = self.instances / "cgroup.subtree_control"
        return frozenset(enabled.read_text().split()) & frozenset(CONTROLLERS)

    @cached_property
    def limits_swap(self) -> bool:
        """Whether the kernel counts swap."""
        if self.version == 1:
            return (
                "memory" in self.mounts
                and (self.mounts["memory"] / "memory.memsw.limit_in_bytes").exists()
            )
        return "memory" in self.controllers and (self.instances / "memory.swap.max").exists()

    @cached_property
    def io_weights(self) -> tuple[str, ...]:
        """The files that take shares of disk bandwidth, each for schedulers of its own.

        In version 2 they are there whether a disk heeds them or not (`paas.host.diskshare`).
        """
        if "io" not in self.controllers:
            return ()
        # The files are in no root of a hierarchy.
        group = self._directory("" if self.version == 2 else V1_CONTROLLERS["io"], "instances")
        group.mkdir(parents=True, exist_ok=True)
        return tuple(name for name in IO_WEIGHTS[self.version] if (group / name).exists())

    def prepare(self) -> None:
        """Make the subtree. Version 2: hand the controllers down to `instances`."""
        self.hand_down("instances")
        if self.version == 2:
            self._directory("", "monitors").mkdir(parents=True, exist_ok=True)

    def hand_down(self, name: str) -> None:
        """Version 2: make the group `name` one whose groups have the controllers.

        A controller that a group above does not hand down stays absent (`controllers`
        tells): the surroundings are not ours to change.
        """
        if self.version == 1:
            return
        self._directory("", name).mkdir(parents=True, exist_ok=True)
        if self.base.count("/") == 1:
            # Not delegated by a service manager: nobody else enables them for us.
            _enable(self.mounts[""])
        _enable(self._directory("", ""))
        _enable(self._directory("", name))

    def remove(self) -> None:
        """Remove the subtree, killing what is left in it."""
        Group(self.base, tuple(self._directory(name, "") for name in self._ordered())).remove()

    def _ordered(self) -> list[str]:
        first = "" if self.version == 2 else TRACKER
        return [first, *(name for name in self.mounts if name != first)]

    def _group(self, name: str, hierarchies: tuple[str, ...]) -> Group:
        ordered = (name for name in self._ordered() if name in hierarchies)
        return Group(name, tuple(self._directory(hierarchy, name) for hierarchy in ordered))

    def _directory(self, hierarchy: str, name: str) -> Path:
        return self.mounts[hierarchy] / self.base.strip("/") / name


def read_mounts(mountinfo: str) -> dict[str, Path]:
    """Controller (or `name=…`) to mount point, from proc(5) mountinfo; "" is version 2."""
    mounts: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ")[:3]
        point = Path(fields.split(" ")[4])
        if kind == "cgroup2":
            mounts.setdefault("", point)
        elif kind == "cgroup":
            for option in options.split(","):
                if option not in ("rw", "ro", "xattr", "clone_children", "noprefix"):
                    mounts.setdefault(option, point)
    return mounts


def own_group(proc_cgroup: str) -> str:
    """The version 2 group in the text of /proc/PID/cgroup; `/` when it has none."""
    for line in proc_cgroup.splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::")
    return "/"


def _enable(directory: Path) -> None:
    for controller in CONTROLLERS:
        # One at a time: an absent one (ENOENT), or one a neighbour uses otherwise (EBUSY),
        # must not keep the others away.
        with suppress(OSError):
            (directory / "cgroup.subtree_control").write_text(f"+{controller}")
