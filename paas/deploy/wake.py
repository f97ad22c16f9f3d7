"""Telling the supervisor that there is something to look at."""

from __future__ import annotations

import socket

from paas.model.layout import Layout


def wake_supervisor(layout: Layout) -> None:
    """Send it one byte, without waiting.

    One that is not there looks at everything when it starts; one whose queue is full
    has looks enough before it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        try:
            connection.sendto(b"!", socket.MSG_DONTWAIT, str(layout.supervisor_socket))
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            return
