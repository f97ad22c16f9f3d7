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
from dataclasses import replace

from paas.host import files
from paas.host.cgroups import Cgroups
from paas.host.sockets import notify
from paas.model.layout import Layout

LEAF = "holder"


def hold(layout: Layout) -> None:
    """Move into the leaf, hand the controllers down, say where, and wait for SIGTERM."""
    # Before anything is waited for: a signal in between must not be lost.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    layout.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    cgroups = Cgroups.detect(layout)
    # Without a service manager: a group of our own.
    cgroups = cgroups.delegated(LEAF) or replace(cgroups, base=f"/{layout.id}")
    cgroups.leaf(LEAF).enter()
    cgroups.prepare()
    files.write_atomic(layout.run / "cgroup", f"{cgroups.base}\n")
    notify("READY=1", os.environ.get("NOTIFY_SOCKET"))
    signal.sigwait(signals)


def main(argv: list[str]) -> int:
    """The program."""
    hold(Layout.at(argv[1]) if len(argv) > 1 else Layout.at())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
