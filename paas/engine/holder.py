"""`python -m paas.engine.holder ROOT [--fork]`: keeps the control groups of all instances
alive.

It is started by paas-instances.service, whose delegated group it says to the engine
(`<run>/cgroup`). Version 2 allows no process in a group with groups below it, so it sits in
a leaf. It is never restarted: instances live in its service's group. With `--fork` it stays
in a child, and ends when that is ready.

Source: https://systemd.io/CGROUP_DELEGATION.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from paas.host import files
from paas.host.cgroups import Cgroups
from paas.model.layout import Layout

LEAF = "holder"


def hold(layout: Layout, *, fork: bool = False) -> None:
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
    if not fork or os.fork() == 0:
        signal.sigwait(signals)


def holds(layout: Layout) -> bool:
    """Whether a holder of this PaaS runs.

    Its group does not tell: with version 1, systemd moves what is in groups that are not its own
    out of them when it is executed again (`systemctl daemon-reexec`, after each update of it).
    """
    wanted = {b"paas.engine.holder", os.fsencode(layout.root)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # Gone in between: then it is none.
            with suppress(FileNotFoundError, ProcessLookupError):
                if wanted <= set((entry / "cmdline").read_bytes().split(b"\0")):
                    return True
    return False


def main(argv: list[str]) -> int:
    """The program."""
    roots = [word for word in argv[1:] if word != "--fork"]
    hold(Layout.at(*roots), fork="--fork" in argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
