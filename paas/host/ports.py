"""Whether a port of this machine can be listened to."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from pathlib import Path


def bind_error(address: str, port: int, *, datagrams: bool = False) -> OSError | None:
    """Why a server could not listen at an IP address and a port; None when it could.

    A trial as servers do it: what is left of ended connections is in nobody's way (SO_REUSEADDR,
    socket(7)), an IPv6 address is that alone (IPV6_V6ONLY, ipv6(7)). Between it and the real
    thing another program may come.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    try:
        with closing(socket.socket(family, kind)) as trial:
            if not datagrams:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind((address, port))
    except OSError as error:
        return error
    return None


def held_sockets() -> set[int]:
    """The sockets that have a port of the machine for themselves, by inode.

    Those that connections are accepted from, and those of datagrams that are not connected; in
    the network namespace of the calling thread (proc_pid_net(5)).
    """
    found = set()
    for table, alone in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        path = Path(f"/proc/thread-self/net/{table}")
        # A kernel without IPv6 has no such table.
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        fields = map(str.split, lines)
        found |= {int(each[9]) for each in fields if each[3] == alone}
    return found


def why_not(error: OSError) -> str:
    """The sentence's end for people: a port that `bind_error` was asked for ..."""
    if error.errno == errno.EADDRINUSE:
        return "is in use by a program of this server"
    return f"cannot be listened to: {os.strerror(error.errno or 0)}"
