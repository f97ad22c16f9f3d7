"""What makes a process *the* daemon of a PaaS: the lock and the socket."""

from __future__ import annotations

import os
import pwd
import socket

from paas.errors import PaasError
from paas.host import sockets
from paas.host.files import FileLock
from paas.model.layout import Layout


class AlreadyRunning(PaasError):
    """Another paasd serves this root."""


def take_lock(layout: Layout) -> FileLock:
    """The daemon's lock. Raises `AlreadyRunning`."""
    lock = FileLock(layout.locks / "paasd.lock", f"paasd, process {os.getpid()}")
    if not lock.try_acquire():
        raise AlreadyRunning(
            f"A paasd serves {layout.root} already: {lock.holder()}",
            resolution="Stop it first: systemctl stop paasd",
        )
    return lock


def open_door(layout: Layout, lock: FileLock) -> socket.socket:
    """The listening socket, in place of one that a killed daemon left.

    Open to root and to the group of the login user; `Admission` decides who is served.
    """
    if not lock.held:
        raise AssertionError("the holder of the lock alone replaces the socket")
    layout.run.mkdir(mode=0o711, exist_ok=True)
    layout.run.chmod(0o711)  # whatever the umask is: the login user must get through
    try:
        gid, mode = pwd.getpwnam(layout.user).pw_gid, 0o660
    except KeyError:
        gid, mode = -1, 0o600
    return sockets.listen(layout.socket, mode=mode, gid=gid)
