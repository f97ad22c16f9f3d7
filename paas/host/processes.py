"""The door to other programs: whole and captured (`run`), or streaming (`spawn`).

`run` goes through `sh`; `spawn` through `subprocess.Popen`, which alone hands over
descriptors. A child's environment is built, never inherited: commands run inside
`git receive-pack`, whose `GIT_*` variables would redirect any git they call.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sh

from paas.errors import PaasError
from paas.host.identity import Identity
from paas.model.hiding import url_shown, words_shown

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_ENVIRONMENT = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": "/root"}
APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""In front of a program: namespaces of its own (unshare(1))."""

STREAM_TAIL = 2000
"""Bytes of each stream that an error shows; the whole is on the error itself."""

Argument = str | Path


class ProgramMissing(PaasError):
    """The program is not installed."""

    def __init__(self, program: str) -> None:
        super().__init__(
            f"The program {program} is not installed",
            resolution="Run ./install.sh again: it installs what the server needs.",
        )
        self.program = program


@dataclass(frozen=True)
class Completed:
    """A program that has ended. `code` is negative when a signal ended it."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded, without the newline at its end."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


class ProcessFailed(PaasError):
    """A program ended with another code than 0; says how to run it again by hand, with the
    credentials that one has.
    """

    def __init__(self, completed: Completed) -> None:
        super().__init__(
            f"{completed.argv[0]} failed: {describe_code(completed.code)}",
            (*_tail("stdout", completed.stdout), *_tail("stderr", completed.stderr)),
            _again(completed.argv),
        )
        self.completed = completed
        self.argv = completed.argv
        self.exit_code = completed.code
        self.stdout = completed.stdout
        self.stderr = completed.stderr


class ProcessTimedOut(PaasError):
    """A program was killed because it took longer than it may."""

    def __init__(self, argv: Sequence[str], seconds: float) -> None:
        super().__init__(
            f"{argv[0]} was killed after {seconds:g} seconds",
            resolution=_again(argv),
        )


def describe_code(code: int) -> str:
    """`exit code 3`, or `killed by SIGKILL` for a negative code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: a fixed base and `extra`, nothing of ours."""
    return {**BASE_ENVIRONMENT, **(extra or {})}


def locate(program: Argument) -> str:
    """The path of `program` on the fixed search path. Raises `ProgramMissing`."""
    found = shutil.which(str(program), path=SEARCH_PATH)
    if found is None:
        raise ProgramMissing(str(program))
    return found


def run(
    argv: Sequence[Argument],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    check: bool = True,
    apart: bool = False,
) -> Completed:
    """Run a program to its end and return what it wrote. `timeout` is in seconds.

    With `apart`, what it starts and what it mounts end with it, even if it is killed.

    Raises `ProgramMissing`, `ProcessTimedOut`, and with `check` `ProcessFailed`. Starts
    threads while it runs: paasd's master never calls it.
    """
    words = tuple(str(word) for word in argv)
    command = [locate(words[0]), *words[1:]]
    program, *arguments = [*APART, *command] if apart else command
    options: dict[str, Any] = {
        "_in": input,
        "_env": environment(env),
        "_cwd": str(cwd) if cwd else None,
        "_tty_in": False,
        "_tty_out": False,
        "_in_bufsize": 1 << 16,
        "_out_bufsize": 1 << 16,
        "_err_bufsize": 1 << 16,
        "_encoding": "latin-1",
        "_return_cmd": True,
        "_truncate_exc": False,
        "_bg": True,
        "_bg_exc": False,
    }
    running = sh.Command(locate(program))(*(_opaque(word) for word in arguments), **options)
    with _deadline(running.pid, timeout) as expired:
        try:
            ended = running.wait()
        except sh.ErrorReturnCode as error:
            ended = error
    if expired.is_set():
        raise ProcessTimedOut(words, timeout or 0)
    completed = Completed(words, int(ended.exit_code), bytes(ended.stdout), bytes(ended.stderr))
    if check and completed.code != 0:
        # The chained exception of sh would repeat both streams.
        raise ProcessFailed(completed) from None
    return completed


class Process:
    """A running child. Its pidfd becomes readable when it has ended."""

    def __init__(self, popen: subprocess.Popen[bytes], argv: tuple[str, ...]) -> None:
        self._popen = popen
        self.argv = argv
        self.pid = popen.pid
        # Not reaped before wait() or poll(), so the pid cannot be another's by now.
        self.pidfd = os.pidfd_open(popen.pid)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises `TimeoutError` after `timeout` seconds."""
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.argv[0]} still runs after {timeout:g} s") from None
        self._close()
        return code

    def poll(self) -> int | None:
        """The exit code if it has ended."""
        code = self._popen.poll()
        if code is not None:
            self._close()
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; does nothing when the child has ended."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def leave(self) -> None:
        """Let it outlive this process: nobody is going to wait for it."""
        # Popen complains when it is dropped without an end; this one is meant to be.
        self._popen.returncode = 0
        self._close()

    def _close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def spawn(  # noqa: PLR0913 (they mirror Popen's)
    argv: Sequence[Argument],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Iterable[int] = (),
    user: str | None = None,
    new_session: bool = True,
    cgroup: Path | Sequence[Path] | None = None,
    preexec: Callable[[], None] | None = None,
) -> Process:
    """Start a program on the given descriptors and return at once.

    `cgroup` is a cgroup directory (or one per v1 hierarchy) that the child enters before
    it executes, so that nothing it forks is ever outside; `user` is a user name whose
    groups it takes on; `preexec` runs last, in the child. Raises `ProgramMissing`, and
    `OSError` when a cgroup or the working directory is gone.
    """
    words = tuple(str(word) for word in argv)
    paths = [cgroup] if isinstance(cgroup, Path) else list(cgroup or ())
    entrances: list[int] = []
    try:
        # Opened here: the kernel checks the opener's rights, and the child may be another user.
        for path in paths:
            entrance = os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            entrances.append(entrance)
        popen = subprocess.Popen(
            words,
            executable=locate(words[0]),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment(env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
            preexec_fn=_preparation(entrances, user, preexec),
        )
    finally:
        for entrance in entrances:
            os.close(entrance)
    return Process(popen, words)


def _preparation(
    entrances: list[int], user: str | None, preexec: Callable[[], None] | None
) -> Callable[[], None] | None:
    """What the child does between fork and exec; None lets Popen use vfork, which is faster."""
    if not entrances and user is None and preexec is None:
        return None
    account = pwd.getpwnam(user) if user is not None else None
    groups = os.getgrouplist(account.pw_name, account.pw_gid) if account else []

    def prepare() -> None:
        for entrance in entrances:
            os.write(entrance, b"0")
        if account is not None:
            os.setgroups(groups)
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        if preexec is not None:
            preexec()

    return prepare


def _opaque(word: str) -> str:
    """`word` such that Latin-1 gives its bytes: sh encodes strictly, a path is any bytes."""
    return os.fsencode(word).decode("latin-1")


@contextmanager
def _deadline(pid: int, seconds: float | None) -> Iterator[threading.Event]:
    """Kill a child of `run` when the block takes longer; the event says so.

    sh has a limit of its own, but looks at the clock ten times a second: each call with
    one would take at least 0.1 s.
    """
    expired = threading.Event()
    identity = Identity.of(pid) if seconds is not None else None
    if seconds is None or identity is None:
        yield expired
        return

    def kill() -> None:
        if identity.signal(signal.SIGKILL):
            expired.set()

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()


def _again(argv: Sequence[str]) -> str:
    return f"To run it again: {shlex.join(words_shown(argv))}"


def _tail(name: str, stream: bytes) -> list[str]:
    lines = url_shown(stream[-STREAM_TAIL:].decode("utf-8", "replace")).splitlines()
    return [f"{name}: {line}" for line in lines]
