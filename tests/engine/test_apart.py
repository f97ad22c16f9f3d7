"""A program that is run apart, as root: what it mounts and starts ends with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.processes import ProcessFailed, ProcessTimedOut, ProgramMissing, run
from tests.push.outcome import eventually

MOUNT_AND_STAY = """
mount -t tmpfs apart "$1" && touch "$1/inside"
sleep 987654 & sleep 987654
"""


def left(place: Path) -> list[str]:
    """The mounts at a place and the sleepers, on the whole machine."""
    found = [
        line for line in Path("/proc/self/mounts").read_text().splitlines() if str(place) in line
    ]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [str(entry)] * (b"987654" in entry.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_killed_one_leaves_neither_mounts_nor_processes(tmp_path: Path) -> None:
    """mmdebstrap mounts the host's /sys into what it makes, and once left it there."""
    with pytest.raises(ProcessTimedOut, match="sh was killed"):
        run(["sh", "-c", MOUNT_AND_STAY, "sh", tmp_path], timeout=1.0, apart=True)
    eventually(lambda: left(tmp_path) == [])
    assert list(tmp_path.iterdir()) == []


def test_it_is_told_of_as_if_it_were_not_apart() -> None:
    assert run(["sh", "-c", "echo $$; cat"], input=b"in", apart=True).stdout == b"1\nin"
    with pytest.raises(ProcessFailed, match="sh failed: exit code 3"):
        run(["sh", "-c", "exit 3"], apart=True)
    with pytest.raises(ProgramMissing, match="no-such-program"):
        run(["no-such-program"], apart=True)
