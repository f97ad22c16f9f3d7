"""SIGKILL before the first, the second, … effect of an act on the machine, until it has none left.

An effect is a call of a door to the kernel, of a program or of a database that changes
something. Between two of them nothing happens that anybody else could see, so that these are
all the moments in which a death differs from another.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from tests.killing import die, forked

DOORS = {
    "host/cgroup": {"Group.create", "Group.kill", "Group.thaw", "_set_frozen", "_remove_directory"},
    "host/files": {"remove_tree", "write_atomic", "sync_filesystem"},
    "host/processes": {"spawn", "run"},
    "host/rtnetlink": {"apply"},
    "host/syscalls": {"mount", "umount", "move_mount", "renameat2"},
    "host/firewall": {"Firewall.apply"},
    "host/identity": {"Identity.signal"},
    "host/database": {"Database.execute"},
    "engine/bundle": {"Bundle.create", "Bundle._replace", "Bundle.mark", "Bundle.forget_run"},
    "engine/events": {"Journal.add"},
    "engine/launch": {"give_streams"},
    "engine/layers": {"Layers.new_upper", "Layers.imitate_root"},
    "engine/monitor": {"Creation.wait"},
    "engine/rootfs": {"Rootfs._mount_point"},
}
_FILE = re.compile(r"/paas/((?:engine|host)/\w+)\.py$")

MOST = 300


def is_effect(frame: FrameType, event: str) -> bool:
    """Whether a call that begins is one."""
    if event != "call":
        return False
    found = _FILE.search(frame.f_code.co_filename)
    name = frame.f_code.co_qualname
    if found is None or name not in DOORS.get(found[1], ()):
        return False
    # Asking changes nothing.
    return not str(frame.f_locals.get("sql", "")).lstrip().startswith("SELECT")


def dies_before(number: int, act: Callable[[], object]) -> bool:
    """Run `act` in a child that dies before its effect of that number; False if it has fewer.

    Threads that it starts count too. Anything but a death and an end is a failure.
    """

    def work() -> None:
        left = number

        def look(frame: FrameType, event: str, _: object) -> None:
            nonlocal left
            if is_effect(frame, event):
                if left == 0:
                    die()
                left -= 1

        threading.setprofile(look)
        sys.setprofile(look)
        act()

    _, status = os.waitpid(forked(work), 0)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def effects_of(act: Callable[[], object]) -> int:
    """How many effects an act has in this thread."""
    found = 0

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal found
        found += is_effect(frame, event)

    sys.setprofile(look)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


def deaths(act: Callable[[], object], first: int = 0) -> Iterator[int]:
    """Let `act` die before each of its effects in turn, from number `first` on; the caller
    looks after what that left each time."""
    for number in range(first, MOST):
        if not dies_before(number, act):
            return
        yield number
    raise AssertionError(f"more than {MOST} effects")
