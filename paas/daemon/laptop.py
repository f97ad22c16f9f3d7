"""What a developer's machine does itself: `paas cp` and `paas forward`.

Each goes over ssh to the command of the same name, which speaks tar and plain bytes. Standard
library only, run by `remote.py`, which knows the server.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess  # noqa: TID251  a laptop has this file, not the program it belongs to
import sys
import tempfile
from collections.abc import Callable

Ssh = Callable[[list[str]], list[str]]
"""The argv that runs these words on the server, without a terminal."""

INSTANCE = re.compile(r"([A-Za-z0-9_-]+(\.[0-9a-f]+)?):(.*)", re.DOTALL)
USAGE = 2


def main(words: list[str], flags: list[str], ssh: Ssh) -> int | None:
    """Do what is ours to do; None for what ssh alone does. `flags` stand before the command."""
    try:
        if words[0] == "cp" and len(words) >= 3 and "-" not in words[-2:]:
            return copy(words, flags, ssh)
        if words[0] == "forward" and (_local(words) is not None or os.isatty(0)):
            return forward(words, flags, ssh)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        say(f"{error.filename or ''} {error.strerror}".strip())
        return 1
    return None


def copy(words: list[str], flags: list[str], ssh: Ssh) -> int:
    """`cp [APP] web.1:/PATH HERE`, or the other way round."""
    *before, source, target = words
    if (INSTANCE.fullmatch(source) is None) == (INSTANCE.fullmatch(target) is None):
        say("One of both is web.1:PATH, the other a path here")
        return USAGE
    if INSTANCE.fullmatch(source):
        return _fetch(ssh([*flags, *before, source, "-"]), target)
    return _send(ssh([*flags, *before, "-", target]), source)


def _fetch(remote: list[str], target: str) -> int:
    """Unpack what comes beside `target`, then give it its name; into it if it is a folder."""
    inside = os.path.isdir(target)  # noqa: PTH112  importing pathlib doubles the start
    folder = target if inside else os.path.dirname(os.path.abspath(target))  # noqa: PTH100, PTH120
    with tempfile.TemporaryDirectory(prefix=".paas-cp-", dir=folder) as beside:
        # tar lets nothing of an archive out of its folder, and takes no owner from it.
        code = _piped(remote, ["tar", "-x", "-o", "-f", "-", "-C", beside])
        if code:
            return code
        for name in os.listdir(beside):  # noqa: PTH208
            place = os.path.join(folder, name) if inside else target  # noqa: PTH118
            os.replace(os.path.join(beside, name), place)  # noqa: PTH105, PTH118
    return 0


def _send(remote: list[str], source: str) -> int:
    path = os.path.abspath(source)  # noqa: PTH100
    os.stat(path)  # noqa: PTH116  before anything is asked of the server
    folder, name = os.path.split(path)
    return _piped(["tar", "-c", "-f", "-", "-C", folder, "--", name or "."], remote)


def _piped(first: list[str], second: list[str]) -> int:
    """Both, the one's output being the other's input; the code of the one that failed."""
    with subprocess.Popen(first, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as source:
        done = subprocess.run(second, stdin=source.stdout, check=False)
        if source.stdout is not None:
            source.stdout.close()
        code = source.wait()
    # Who lost its reader has nothing to tell.
    return done.returncode or code if code != -13 else done.returncode


def forward(words: list[str], flags: list[str], ssh: Ssh) -> int:
    """Listen here, and join each connection to one of the server's, until ^C."""
    address, port = _local(words) or ("127.0.0.1", 0)
    rest = _without_local(words)
    checked = subprocess.run(
        ssh([*flags, *rest, "--check"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    if checked.returncode:
        return checked.returncode
    # As ^C does: what was started here ends with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: list[subprocess.Popen[bytes]] = []
    with socket.create_server((address, port)) as listener:
        here = "{}:{}".format(*listener.getsockname()[:2])
        print(f"Forwarding {here} to {checked.stdout.decode().strip()}; ^C ends it", flush=True)  # noqa: T201
        try:
            while True:
                connection, _ = listener.accept()
                with connection:
                    # ssh reads and writes the connection itself: nothing of it passes here.
                    argv, joined = ssh([*flags, *rest]), connection.fileno()
                    running.append(subprocess.Popen(argv, stdin=joined, stdout=joined))
                running = [one for one in running if one.poll() is None]
        finally:
            for one in running:
                one.terminate()


def _local(words: list[str]) -> tuple[str, int] | None:
    """What `-L [ADDRESS:]PORT` says; 0 is any that is free."""
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in ("-L", "--local"):
            text = value if equals else "".join(words[number + 1 : number + 2])
            address, _, port = text.rpartition(":")
            if not port.isdecimal() or int(port) > 65535:
                raise OSError(22, f"is not a port: {text}", "-L")
            return address.strip("[]") or "127.0.0.1", int(port)
    return None


def _without_local(words: list[str]) -> list[str]:
    found = []
    skip = False
    for word in words:
        if not skip and word.partition("=")[0] not in ("-L", "--local"):
            found.append(word)
        skip = not skip and word in ("-L", "--local")
    return found


def say(text: str) -> None:
    """To standard error, in the output grammar of warnings."""
    sys.stderr.write(f" !     {text}\n")
