"""The connections that an instance serves, as the sockets in its network namespace say."""

from __future__ import annotations

import os
import socket
import time

from paas.engine.network.findings import Finding
from paas.host import netlink, sockdiag
from paas.host.sockdiag import TcpSocket

OPEN = (
    sockdiag.SYN_RECV,
    sockdiag.ESTABLISHED,
    sockdiag.FIN_WAIT1,
    sockdiag.FIN_WAIT2,
    sockdiag.CLOSE_WAIT,
    sockdiag.CLOSING,
    sockdiag.LAST_ACK,
)
"""An answer may still be on its way. Behind them come TIME_WAIT and CLOSE, which carry nothing."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.4
"""The proxy lets go of its connections within a tenth of a second."""

UNKNOWN = 1
"""Where the kernel does not tell (`paas doctor` does), there may be a connection."""


def drain(pid: int, seconds: float) -> int:
    """Wait until the instance that process `pid` is of serves no connection, `seconds` at most.

    Returns how many it still serves then, whoever opened them: those a stop would cut. Those that
    it has opened itself, to others or within, are none of them. Looks less and less often.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    listeners: set[tuple[socket.AddressFamily, int]] = set()
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended
    try:
        while left := _serves(namespace, listeners):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return left
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    finally:
        os.close(namespace)
    return 0


def findings() -> list[Finding]:
    """What keeps instances from being seen to be idle, for `paas doctor`."""
    try:
        sockdiag.connections(socket.AF_INET, *OPEN)
    except OSError as error:
        text = f"{error.strerror}: a replaced instance runs until its drain limit"
        return [Finding(text[0].upper() + text[1:], "modprobe tcp_diag")]
    return []


def _serves(namespace: int, listeners: set[tuple[socket.AddressFamily, int]]) -> int:
    """`listeners` are all that it was seen to have: it may close them before its last answer."""
    try:
        with netlink.inside(namespace):
            listeners.update((one.family, one.port) for one in sockdiag.listening())
            families = {family for family, _ in listeners}
            found = [one for family in families for one in sockdiag.connections(family, *OPEN)]
    except OSError:
        return UNKNOWN
    return sum((one.family, one.port) in listeners and _is_open(one) for one in found)


def _is_open(one: TcpSocket) -> bool:
    """In FIN_WAIT2 all that was said has arrived: it is open if a process may yet read from it."""
    return not one.inside and (one.state != sockdiag.FIN_WAIT2 or one.held)
