"""SIGKILL before the first, the second, … effect of an act on the machine, until it has none left.

An effect is a call of a door to the kernel, of a program or of a database that changes
something. Between two of them nothing happens that anybody else could see, so that these are
all the moments in which a death differs from another.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache, partial
from types import CodeType, FrameType

from tests import killing

DOORS = {
    "host/cgroup": {
        "Group.create",
        "Group.kill",
        "Group.thaw",
        "Group._set_frozen",
        "_remove_directory",
    },
    "host/files": {"remove_tree", "write_atomic", "sync_filesystem"},
    "host/processes": {"spawn", "run"},
    "host/rtnetlink": {"apply"},
    "host/syscalls": {"mount", "umount", "move_mount", "renameat2"},
    "host/firewall": {"Firewall.apply"},
    "host/identity": {"Identity.signal"},
    "host/database": {"Database.execute"},
    "engine/bundle": {
        "Bundle.create",
        "Bundle._replace",
        "Bundle.mark",
        "Bundle.unmark",
        "Bundle.forget_run",
        "Bundle.write_bound",
    },
    "engine/events": {"Journal.add"},
    "engine/launch": {"give_streams"},
    "engine/layers": {"Layers.new_upper", "Layers.imitate_root"},
    "engine/monitor": {"Creation.wait"},
    "engine/network/router": {"write_sysctls"},
    "engine/rootfs": {
        "Rootfs._mount_point",
        "Rootfs._overlay",
        "Rootfs._writable",
        "Rootfs.unmount",
    },
}
_FILE = re.compile(r"/paas/((?:engine|engine/network|host)/\w+)\.py$")


def is_effect(frame: FrameType, event: str, _: object) -> bool:
    """Whether a call that begins is one."""
    if event != "call" or not is_door(frame.f_code):
        return False
    # Asking changes nothing.
    return not str(frame.f_locals.get("sql", "")).lstrip().startswith("SELECT")


@cache
def is_door(code: CodeType) -> bool:
    """Asked for every call there is, so each function is looked at once."""
    found = _FILE.search(code.co_filename)
    return found is not None and code.co_qualname in DOORS.get(found[1], ())


dies_before = partial(killing.dies_before, is_effect=is_effect)


def effects_of(act: Callable[[], object]) -> int:
    """How many effects an act has in this thread."""
    found = 0

    def look(frame: FrameType, event: str, function: object) -> None:
        nonlocal found
        found += is_effect(frame, event, function)

    sys.setprofile(look)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


deaths = partial(killing.deaths, is_effect=is_effect)
"""Before each of the effects of an act in turn, those of its threads among them."""
