"""The machine itself: kernel, disk, nftables and the clock."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from paas.daemon.checks.check import Unwell
from paas.daemon.systemd import BOOTED
from paas.host.firewall import Firewall
from paas.host.processes import ProgramMissing, run

OLDEST_KERNEL = (5, 19)
"""The first whose overlayfs takes idmapped layers."""

FREE_BYTES = 2 * 2**30
FREE_INODES = 50_000

KEEP_TIME = "apt-get install systemd-timesyncd"


def kernel(release: str) -> str:
    """Judge a `uname -r`."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        raise Unwell(f"{release} is too old", "Install Linux 5.19 or newer and restart.")
    return release


def disk(status: os.statvfs_result, root: Path) -> str:
    """Judge the file system below the root."""
    free = status.f_bavail * status.f_frsize
    if free < FREE_BYTES:
        raise Unwell(
            f"{free / 2**30:.1f} GiB free below {root}",
            f"Make room: 2 GiB are needed for a build. See: du -xh -d2 {root} | sort -h | tail",
        )
    # Some file systems (btrfs) make inodes as they go, and say 0.
    if status.f_files and status.f_favail < FREE_INODES:
        raise Unwell(f"{status.f_favail} inodes free below {root}", "Remove files nobody needs.")
    return f"{free / 2**30:.1f} GiB free below {root}"


def nftables() -> str:
    """Make a table in the host's namespace and delete it, in one transaction."""
    name = f"paas_doctor_{os.getpid()}"
    firewall = Firewall()
    try:
        firewall.apply(f"add table ip {name}\ndelete table ip {name}\n")
    finally:
        firewall.close()
    return "takes changes"


def clock(now: float, built: float) -> str:
    """Judge the time: certificates and tokens are refused when it is wrong.

    That nothing keeps it right is worth a word, but no failure: a virtual machine may take
    it from its host, and a network may let no time server through.
    """
    if now < built - 86400:
        raise Unwell(f"{time.ctime(now)} is before paas was installed", KEEP_TIME)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    return shown if synchronised() else f"{shown}; no time server sets it: {KEEP_TIME}"


def synchronised() -> bool:
    """Whether the kernel was told the time of a server; where systemd runs not, nobody asks."""
    if not BOOTED.is_dir():
        return True
    with suppress(ProgramMissing):
        shown = run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"], check=False)
        return shown.text != "no"
    return True
