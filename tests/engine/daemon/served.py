"""A real master over a handler that does what its words say: `python -m … ROOT`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from paas.daemon import door
from paas.daemon.master import Master
from paas.daemon.peer import Admission
from paas.daemon.resident import Resident
from paas.host.commandgroups import CommandGroups
from paas.host.terminal import Terminal
from paas.model.layout import Layout
from paas.model.request import Request

ROOT = Layout.at(sys.argv[1])


def handle(request: Request) -> int:
    """Do one of the things below."""
    what = getattr(sys.modules[__name__], f"do_{request.argv[0].replace('-', '_')}")
    return int(what(request, *request.argv[1:]) or 0)


def do_echo(request: Request, *words: str) -> None:
    print(request.caller.kind, request.caller.name, *words)


def do_words(request: Request, *words: str) -> None:
    print(repr(words))


def do_env(request: Request) -> None:
    print(dict(request.env), request.cwd, request.tty)


def do_exit(request: Request, code: str) -> int:
    print("out")
    print("err", file=sys.stderr)
    return int(code)


def do_help(request: Request) -> None:
    print("this is help")


def do_raise(request: Request) -> None:
    raise ValueError("secret of the trace")


def do_cat(request: Request) -> None:
    with os.fdopen(os.dup(0), "rb") as source, os.fdopen(os.dup(1), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def do_kill_yourself(request: Request, number: str) -> None:
    os.kill(os.getpid(), int(number))


def do_wait(request: Request, file: str, *, with_client: bool = False) -> int:
    """Say that it runs, then write how it ended into `file`."""
    if with_client:
        request.channel.end_with_client()
    try:
        print("running", os.getpid(), flush=True)
        while not request.channel.closed or with_client:
            time.sleep(60 if with_client else 0.01)
    except BaseException as error:
        Path(file).write_text(repr(error))
        raise
    Path(file).write_text("closed")
    return 0


def do_wait_with_client(request: Request, file: str) -> int:
    return do_wait(request, file, with_client=True)


def do_obey_nobody(request: Request) -> None:
    """A command that is deaf to what its client wants."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("running", os.getpid(), flush=True)
    time.sleep(60)


def do_leave_behind(request: Request) -> None:
    """Start a process that outlives the command."""
    left = subprocess.Popen(
        ["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    print(left.pid, flush=True)
    left.returncode = 0  # nobody waits for it, and Popen shall not say so


def do_leave_behind_and_wait(request: Request) -> None:
    do_leave_behind(request)
    time.sleep(60)


def do_descriptors(request: Request) -> None:
    opened = [path for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2]
    # The one that lists them is gone by now.
    print([str(path.readlink()) for path in opened if path.is_symlink()])


def do_raw(request: Request) -> None:
    """Read keys in raw mode, and tell of window sizes."""
    terminal = Terminal(0, 1, 2, request.channel)
    # Not by print, which the callback may be interrupting.
    terminal.on_resize(lambda size: show(f"size {size.columns} {size.rows}"))
    with terminal.raw():
        show(f"ready {terminal.size.columns} {terminal.size.rows}")
        while (key := os.read(0, 1)) != b"q":
            show(f"key {key!r}")


def show(line: str) -> None:
    os.write(1, f"{line}\r\n".encode())


def do_raw_raise(request: Request) -> None:
    Terminal(0, 1, 2, request.channel).raw().__enter__()
    raise ValueError


def supervise() -> None:
    """Leave a sign of each life; the test decides how it ends."""
    with (ROOT.root / "lives").open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    signal.pause()


def main() -> None:
    lock = door.take_lock(ROOT)
    Master(
        door.open_door(ROOT, lock),
        lock,
        admission=Admission.of(ROOT),
        cells=CommandGroups.of(ROOT),
        handler=handle,
        residents=[Resident("supervisor", supervise)],
        log=lambda line: print(line, file=sys.stderr, flush=True),
    ).run(lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
