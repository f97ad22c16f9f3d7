"""Project quotas where there are none; those that are, are in the engine ring."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host import projects, syscalls
from paas.host.projects import Support, Usage


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A directory of a file system that counts nothing."""
    descriptor = os.open("/proc", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_file_system_without_them(nowhere: int) -> None:
    assert projects.support(nowhere) is Support.NONE
    assert (projects.of(nowhere), projects.inherited(nowhere)) == (0, 0)
    assert projects.usage(nowhere, 7) == Usage(7, 0, 0, 0)
    assert projects.next_known(nowhere, 7) is None
    with pytest.raises(OSError, match="quotactl_fd"):
        projects.limit(nowhere, 7, 1024, 1)


def test_another_refusal_is_told() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        projects.support(-1)


@pytest.mark.parametrize(
    ("flags", "found"),
    [(0, Support.NONE), (1 << 1, Support.NONE), (1 << 4, Support.COUNTED),
     (3 << 4, Support.ENFORCED)],
)  # fmt: skip
def test_what_the_kernel_says_of_a_file_system(
    flags: int, found: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 with the feature counts whatever its options are, and refuses with prjquota alone."""

    def answer(fd: int, command: int, identity: int, data: bytearray) -> None:
        assert (command, data[0]) == (0x580802, 1)
        struct.pack_into("=H", data, 2, flags)

    monkeypatch.setattr(syscalls, "quotactl_fd", answer)
    assert projects.support(-1) is found


def test_a_limit_is_in_kibibytes_and_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, tuple[int, ...]]] = []

    def hear(fd: int, command: int, identity: int, data: bytearray) -> None:
        told.append((command, identity, struct.unpack("=8QII", data)))

    monkeypatch.setattr(syscalls, "quotactl_fd", hear)
    projects.limit(-1, 7, 1025, 9)
    assert told == [(0x80000802, 7, (2, 0, 0, 9, 0, 0, 0, 0, 5, 0))]


def capabilities() -> int:
    """Those in effect for this process (proc(5), status)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def test_a_capability_that_is_given_up_is_gone_alone() -> None:
    reader, writer = os.pipe()
    before = capabilities()
    pid = os.fork()
    if pid == 0:
        syscalls.give_up(syscalls.CAP_SYS_RESOURCE)
        os.write(writer, str(capabilities()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert int(told.read()) == before & ~(1 << 24)
    assert os.waitpid(pid, 0)[1] == 0
