"""A push that does not arrive keeps nobody waiting for long."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from paas.deploy.tree import PushRefused
from paas.deploy.upload import Upload, work_done
from paas.host.clock import SystemClock
from paas.host.processes import Process, spawn
from paas.host.sockets import send

BUSY = "while :; do :; done"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours and the hook's."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    yield pair
    for end in pair:
        end.close()


def upload(connection: socket.socket, git: Process, *, limit_s: float, stall_s: float) -> Upload:
    return Upload(connection, git, SystemClock(), limit_s, stall_s, look_s=0.02)


def test_one_in_which_nothing_happens_is_ended(ends: tuple[socket.socket, socket.socket]) -> None:
    git = spawn(["sleep", "600"])
    with pytest.raises(PushRefused, match="Nothing of the push arrived"):
        upload(ends[0], git, limit_s=600, stall_s=0.3).frame()
    assert git.pidfd == -1, "it was killed and waited for"


def test_one_that_goes_on_is_ended_at_its_limit_alone(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Work of a child of a child counts: git leaves unpacking to another git."""
    git = spawn(["sh", "-c", f"sh -c '{BUSY}'; true"])
    while len(work_done(git.pid)) < 2:
        assert git.poll() is None
    [child] = {pid for pid, *_ in work_done(git.pid)} - {git.pid}
    ended = os.pidfd_open(child)
    with pytest.raises(PushRefused, match="did not arrive within"):
        upload(ends[0], git, limit_s=1.5, stall_s=1.4).frame()
    # Its child as well, whose pidfd says so.
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)


def test_what_is_read_counts_however_little(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    git = spawn(["cat"], stdin=theirs.fileno())
    before = work_done(git.pid)
    ours.send(b"x")
    while work_done(git.pid) == before:
        assert git.poll() is None
    git.kill()
    git.wait()


def test_the_hooks_frame_is_what_comes_of_it(ends: tuple[socket.socket, socket.socket]) -> None:
    git = spawn(["sleep", "600"])
    send(ends[1], {"refs": []})
    frame = upload(ends[0], git, limit_s=600, stall_s=600).frame()
    assert frame is not None
    assert frame.value == {"refs": []}
    git.kill()
    git.wait()


def test_a_git_that_ends_without_its_hook_brought_nothing(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    git = spawn(["true"])
    assert upload(ends[0], git, limit_s=600, stall_s=600).frame() is None
    git.wait()
