"""One command: a connection becomes a request, the request an exit code.

Runs in a child of the master that does nothing else and then ends. Whatever a client
sends, it is this process that reads it.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from paas.daemon import protocol
from paas.daemon.channel import ClientChannel
from paas.daemon.forced import parse_command
from paas.daemon.peer import Admission
from paas.errors import PaasError
from paas.host import sockets
from paas.host.terminal import is_terminal, window_size
from paas.model.request import Request

Handler = Callable[[Request], int]

HELLO_SECONDS = 10.0
"""A client that has not said what it wants by then is not waited for."""

BUG, BROKEN_PIPE, INTERRUPTED = 3, 141, 130
"""Exit codes: an error of ours, a reader that left (128 + SIGPIPE), ^C."""


def serve_command(connection: socket.socket, admission: Admission, handler: Handler) -> int:
    """Read, run and answer one command. Returns 0 when the client was told how it ended."""
    receiver = sockets.Receiver(connection)
    channel = ClientChannel(connection, receiver)
    try:
        frame = receiver.receive(HELLO_SECONDS)
        hello = protocol.parse_hello(frame)
        caller = admission.caller(sockets.peer_of(connection), hello)
        argv = parse_command(hello.command) if hello.command is not None else hello.argv
    except PaasError as error:
        channel.finish(error.code, str(error))
        return 0
    journal = take_descriptors(frame.descriptors)
    request = Request(
        argv=argv or ("help",),
        env=hello.env,
        cwd=hello.cwd if caller.is_root else Path("/"),
        caller=caller,
        stdin=0,
        stdout=1,
        stderr=2,
        tty=window_size(1) if is_terminal(0, 1) else None,
        channel=channel,
    )
    code, message = run(handler, request, channel, journal)
    channel.finish(code, message)
    return 0


def run(
    handler: Handler, request: Request, channel: ClientChannel, journal: int
) -> tuple[int, str]:
    """Call the handler; an exit code and what to say of it, whatever it raises."""
    try:
        try:
            channel.open()
            code = handler(request)
        finally:
            flush()
            channel.deafen()
    except BrokenPipeError:
        return BROKEN_PIPE, ""
    except KeyboardInterrupt:
        return INTERRUPTED, ""
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else int(end.code is not None)), ""
    except BaseException:  # noqa: BLE001  the last one to see it
        os.write(journal, traceback.format_exc().encode(errors="backslashreplace"))
        return BUG, "An error inside paas; paasd's log has the trace: journalctl -u paasd"
    return code, ""


def take_descriptors(descriptors: tuple[int, ...]) -> int:
    """Make the client's descriptors this process's own; returns the former stderr.

    Text streams are opened anew over them: line by line, since somebody watches, and with
    bytes that are no UTF-8 passed through.
    """
    journal = os.dup(2)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target, inheritable=True)
        os.close(descriptor)
    sys.stdin = text_stream(0, "r")
    sys.stdout = text_stream(1, "w")
    sys.stderr = text_stream(2, "w")
    return journal


def text_stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    """Text over a descriptor that stays open when the stream is dropped."""
    raw = io.FileIO(descriptor, mode, closefd=False)
    buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffered, encoding="utf-8", errors="surrogateescape", newline="", line_buffering=True
    )


def flush() -> None:
    """Write what is buffered. Raises `BrokenPipeError` when the reader left."""
    sys.stdout.flush()
    sys.stderr.flush()
