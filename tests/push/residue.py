"""What a PaaS has on the machine: to compare before and after, so that nothing stays behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from paas.model.layout import Layout

Residue = dict[str, frozenset[str]]

CGROUPS = Path("/sys/fs/cgroup")


def residue(layout: Layout) -> Residue:
    """The containers, namespaces, mounts, links, cgroups and temporary files there are now."""
    return {
        "containers": _names(layout.containers),
        "namespaces": _names(layout.run / "netns"),
        "mounts": mounts(layout),
        "links": links(layout),
        "cgroups": cgroups(layout),
        "monitors": monitors(layout),
        "temporary": _names(layout.engine_fs / "tmp") | _quarantines(layout),
    }


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def mounts(layout: Layout, process: int | str = "self") -> frozenset[str]:
    """Mount points below the root or the run directory, in the mount namespace of a process."""
    table = Path(f"/proc/{process}/mountinfo").read_text()
    points = (line.split()[4] for line in table.splitlines())
    ours = (f"{layout.root}/", f"{layout.run}/")
    return frozenset(point for point in points if point.startswith(ours))


def links(layout: Layout) -> frozenset[str]:
    """Interfaces in the router namespace."""
    router = layout.run / "netns/router"
    if not router.exists():
        return frozenset()
    listed = subprocess.run(
        ["nsenter", f"--net={router}", "ip", "-o", "link"], capture_output=True, check=True
    )
    lines = listed.stdout.decode().splitlines()
    return frozenset(line.split(": ")[1].split("@")[0] for line in lines)


def cgroups(layout: Layout) -> frozenset[str]:
    """Every cgroup of this PaaS's containers, relative to the hierarchy it is in."""
    found = set()
    for folder, children, _files in os.walk(CGROUPS):
        if f"/{layout.id}" in folder and ("ctr" in folder or "conmon" in folder):
            found.add(folder)
        children.sort()
    return frozenset(found)


def monitors(layout: Layout) -> frozenset[str]:
    """Command lines of conmon and of the runtime that name this PaaS."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        program = Path(os.fsdecode(words[0])).name
        line = b" ".join(words).decode(errors="replace")
        if program in {"conmon", "crun", "runc"} and str(layout.run) in line:
            found.add(line)
    return frozenset(found)


def _quarantines(layout: Layout) -> frozenset[str]:
    """Objects of pushes that git did not take, and did not throw away."""
    return frozenset(str(path) for path in layout.repos.glob("*.git/objects/*incoming-*"))


def difference(before: Residue, after: Residue) -> dict[str, list[str]]:
    """What is there after and was not before, by kind; empty when nothing stayed behind."""
    new = {kind: sorted(after[kind] - before[kind]) for kind in after}
    return {kind: names for kind, names in new.items() if names}
