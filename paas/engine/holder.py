"""`python -m paas.engine.holder ROOT`: keeps the control groups of all instances alive.

It is the main process of paas-instances.service, whose delegated group it says to the
engine (`<run>/cgroup`). Version 2 allows no process in a group with groups below it, so
it sits in a leaf. It is never restarted: instances live in its service's group.

Source: https://systemd.io/CGROUP_DELEGATION.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from paas.host import files
from paas.host.cgroups import Cgroups, own_group
from paas.host.sockets import notify
from paas.model.layout import Layout

LEAF = "holder"


def hold(layout: Layout) -> None:
    """Move into the leaf, hand the controllers down, say where, and wait for SIGTERM."""
    # Before anything is waited for: a signal in between must not be lost.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    layout.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    detected = Cgroups.detect(layout)
    base = delegated(detected, layout)
    cgroups = Cgroups(detected.version, detected.mounts, base)
    cgroups.leaf(LEAF).enter()
    cgroups.prepare()
    files.write_atomic(layout.run / "cgroup", f"{base}\n")
    notify("READY=1", os.environ.get("NOTIFY_SOCKET"))
    signal.sigwait(signals)


def delegated(cgroups: Cgroups, layout: Layout) -> str:
    """The group that the service manager gave us; without one, a group of our own."""
    own = own_group(Path("/proc/self/cgroup").read_text())
    if cgroups.version == 1 or "NOTIFY_SOCKET" not in os.environ or own == "/":
        return f"/{layout.id}"
    return own.removesuffix(f"/{LEAF}")


def main(argv: list[str]) -> int:
    """The program."""
    hold(Layout.at(argv[1]) if len(argv) > 1 else Layout.at())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
