"""Copies of a server's data: which of them a server may be started on."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.daemon.whereabouts import MARK, UnusableCopy, Whereabouts
from paas.host import syscalls
from paas.model.layout import Layout


@pytest.fixture
def layout() -> Iterator[Layout]:
    with tempfile.TemporaryDirectory(prefix="paas-test-", dir="/var/tmp") as root:
        syscalls.mount("paas-test", Path(root), "tmpfs", data="size=64k")
        try:
            yield Layout(Path(root))
        finally:
            syscalls.umount(Path(root))


@contextlib.contextmanager
def full(layout: Layout) -> Iterator[None]:
    """Its disk has no room meanwhile, not even for a name."""
    ballast = layout.root / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"x" * (1 << 20))
    yield
    ballast.unlink()


def at(layout: Layout, machine: str) -> Whereabouts:
    """The record, seen from a machine."""
    identity = layout.root / f"{machine}-id"
    identity.write_text(f"{machine}\n")
    return Whereabouts(layout, identity)


def test_a_copy_of_a_server_that_ran_is_refused_elsewhere(layout: Layout) -> None:
    at(layout, "old").entered()
    with pytest.raises(UnusableCopy, match="from a server that ran") as caught:
        at(layout, "new").check()
    assert "paas down" in caught.value.resolution
    # Where the old machine is gone there is no better one.
    assert caught.value.resolution.endswith(f"rm {layout.machine}")
    layout.machine.unlink()
    at(layout, "new").check()


def test_a_server_that_lost_its_power_starts_again(layout: Layout) -> None:
    assert not at(layout, "old").check()
    at(layout, "old").entered()
    assert not at(layout, "old").check()


def test_a_copy_of_a_server_that_was_stopped_is_taken(layout: Layout) -> None:
    at(layout, "old").entered()
    at(layout, "old").left()
    assert not at(layout, "old").check()
    assert at(layout, "new").check()
    at(layout, "new").entered()
    with pytest.raises(UnusableCopy):
        at(layout, "old").check()


def test_a_copy_without_extended_attributes_is_refused(layout: Layout) -> None:
    at(layout, "old").left()
    shutil.copyfile(layout.machine, layout.root / "copy")
    (layout.root / "copy").rename(layout.machine)
    with pytest.raises(UnusableCopy, match="without its extended attributes"):
        at(layout, "old").check()
    at(layout, "old").left()
    os.removexattr(layout.machine, MARK)
    with pytest.raises(UnusableCopy, match="without its extended attributes"):
        at(layout, "new").check()
    at(layout, "new").entered()
    at(layout, "new").check()


def test_a_disk_that_takes_nothing_keeps_nobody_from_starting_or_stopping(layout: Layout) -> None:
    at(layout, "old").left()
    with full(layout):
        at(layout, "old").entered()
    # Better no record than a wrong one.
    assert not layout.machine.exists()
    at(layout, "old").entered()
    with full(layout):
        at(layout, "old").left()
    assert not at(layout, "new").check()


def test_images_of_another_architecture_are_named(layout: Layout) -> None:
    at(layout, "old").left()
    text = layout.machine.read_text().replace(platform.machine(), "riscv64")
    layout.machine.write_text(text)
    os.setxattr(layout.machine, MARK, text.encode())
    with pytest.raises(
        UnusableCopy, match=f"for riscv64, and this machine is {platform.machine()}"
    ):
        at(layout, "new").check()
