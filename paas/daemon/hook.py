"""git's pre-receive hook: tells the command child what was pushed, and waits for its verdict.

It runs as the git user, which may not talk to the daemon. The descriptor that it inherits
is one end of a socketpair whose other end knows who pushes to which app; it sends one frame
(`paas.host.sockets` says what that is) with its stderr, which git relays to the person who
pushes, and exits with the code it gets. Source: githooks(5), pre-receive.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

DESCRIPTOR = "PAAS_HOOK_FD"
QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
PUSH_OPTION = "GIT_PUSH_OPTION_"
REJECTED = 1


def main() -> int:
    """Ask about the push on stdin; returns 0 to accept it."""
    # git finishes the update of a ref whose deploy went through, although nobody reads
    # its output any more: only a hook that the lost reader kills would stop it.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    number = os.environ.get(DESCRIPTOR, "")
    if not number.isdecimal():
        return reject("This repository is pushed to through paas only")
    refs = [line.split(" ", 2) for line in pushed()]
    with socket.socket(fileno=int(number)) as connection:
        try:
            ask(connection, {"refs": refs, "env": environment()})
            code = answer(connection)
        except OSError as error:
            return reject(f"The deploy cannot be reached: {error.strerror}")
    if code is None:
        return reject("The deploy was cut off; paas goes on with it, or cleans up, by itself")
    return code


def pushed() -> list[str]:
    """The lines of stdin: old, new and name of each ref; a name may be any bytes."""
    lines = sys.stdin.buffer.read().split(b"\n")
    return [line.decode("utf-8", "surrogateescape") for line in lines if line]


def environment() -> dict[str, str]:
    """Where git keeps the objects until the answer, and what `git push -o` said."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in QUARANTINE or name.startswith(PUSH_OPTION)
    }


def ask(connection: socket.socket, value: dict[str, object]) -> None:
    """Send one frame, and our stderr."""
    body = json.dumps(value).encode("ascii")
    data = len(body).to_bytes(4, "big") + body
    sent = socket.send_fds(connection, [data], [2])
    if sent < len(data):
        connection.sendall(data[sent:])


def answer(connection: socket.socket) -> int | None:
    """The exit code of the frame that comes back; None when the other end is gone."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    code: int = json.loads(data[4:])["exit"]
    return code


def reject(reason: str) -> int:
    """Say why the push is not taken."""
    sys.stderr.write(f" !     {reason}\n")
    return REJECTED


if __name__ == "__main__":
    sys.exit(main())
