"""Control groups: whether what is limited, reserved and shared out by them has an effect here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from paas.daemon.checks.check import Unwell

NEEDED = ("cpu", "memory", "pids")


def check(
    version: int,
    controllers: Collection[str],
    lacking: Sequence[str] = (),
    unweighted: Sequence[str] = (),
) -> str:
    """Judge the controllers, the groups that are not kept what instances reserve, and the
    disks on which no weight counts.

    Of the last only builds have one: worth a word, but no failure.
    """
    missing = [name for name in NEEDED if name not in controllers]
    if missing:
        raise Unwell(
            f"version {version}, without {', '.join(missing)}",
            "Boot with the kernel parameter cgroup_enable=memory; in a container, let it "
            "have the controllers (systemd: Delegate=yes).",
        )
    if lacking:
        raise Unwell(
            f"{lacking[0]} is not kept the memory that instances reserve (memory.low)",
            "Restart the machine once: instances then move to a group that is kept it.",
        )
    shown = f"version {version}, {', '.join(sorted(controllers))}"
    if not unweighted:
        return shown
    disk = unweighted[0]
    return (
        f"{shown}; builds take the disk {' and '.join(unweighted)} from apps as equals, unless "
        f"bfq shares it out: echo bfq > /sys/block/{disk}/queue/scheduler"
    )
