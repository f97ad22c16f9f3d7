#!/usr/bin/env python3
"""The thin client: what `paas` is on the server, and the forced command of every SSH key.

People wait for it, so it is started as `python3 -I -S`, imports the standard library only
and of that as little as it can: `_socket` and `_signal` come without the enum and selectors
machinery of `socket` and `signal`, and little of JSON is needed.
It hands over argv (or SSH_ORIGINAL_COMMAND as it came) and its stdin, stdout and stderr, and
waits: forwards signals, changes the terminal's mode when asked to, and exits with the
command's code. `paas.host.sockets` and `paas.daemon.protocol` are the other end.
"""
# Importing pathlib alone doubles the time that the interpreter needs:
# ruff: noqa: PTH109, PTH110, PTH112, PTH118, PTH120

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the typeshed has the public face only
import _socket
import os
import select
import sys
import time
from _json import encode_basestring_ascii as quote

DEFAULT_ROOT = "/var/lib/paas"
PROTOCOL = 1
ENVIRONMENT = (
    "TERM", "LANG", "LC_ALL", "NO_COLOR", "GIT_PROTOCOL", "SSH_CONNECTION", "SSH_AUTH_SOCK",
    "PAAS_APP",
)  # fmt: skip

RESTART_SECONDS = 3.0
"""How long a paasd that is not there is waited for: it may be starting again."""

UPGRADE_SECONDS = 120.0
"""The same while it is being upgraded: deploys under way come to their end first."""

PATIENCE = 3
"""This many SIGINT or SIGTERM end the client, whether or not the command obeys."""

NUDGE_MS = 100
"""How long after a signal the command is told of one more, which changes nothing."""

USAGE, UNAVAILABLE, DENIED, LOST = 2, 69, 77, 70
"""Exit codes of the client's own (sysexits.h); all others are the command's."""


class Trouble(Exception):
    """What the client itself has to say."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code


def main(argv: list[str]) -> int:
    """Run one command of the PaaS; returns its exit code."""
    try:
        root, key, words = parse(argv)
        if key is None and root is None and (root := server_here()) is None:
            return laptop(words)
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        fill_stdio()
        connection = connect(socket_path(root or DEFAULT_ROOT), root or DEFAULT_ROOT)
        return Session(connection).run(hello(words, key))
    except Trouble as trouble:
        complain("\n".join(trouble.args))
        return trouble.code


def parse(argv: list[str]) -> tuple[str | None, str | None, list[str]]:
    """Our own leading options, root and key, and the words of the command."""
    found: dict[str, str | None] = {"--root": None, "--key": None}
    words = list(argv)
    while words and words[0] in found:
        if len(words) < 2:
            raise Trouble(USAGE, f"{words[0]} needs a value")
        found[words[0]] = words[1]
        del words[:2]
    return found["--root"], found["--key"], words


def server_here() -> str | None:
    """The root of the PaaS on this machine; None on somebody's laptop."""
    if os.environ.get("PAAS_HOST"):
        return None
    named = os.environ.get("PAAS_ROOT")
    return named or (DEFAULT_ROOT if os.path.isdir(DEFAULT_ROOT) else None)


def laptop(words: list[str]) -> int:
    """Go to the server over ssh: `remote.py`, beside this file."""
    import runpy  # nobody on the server waits for it

    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), "remote.py")
    code: int = runpy.run_path(beside)["main"](words)
    return code


def socket_path(root: str) -> str:
    """Where the daemon of `root` listens; the same as `paas.model.layout` says."""
    root = os.path.realpath(root)
    if root == os.path.realpath(DEFAULT_ROOT):
        return "/run/paas/paasd.sock"
    import hashlib  # a root of one's own is for tests

    return f"/run/p{hashlib.sha256(os.fsencode(root)).hexdigest()[:6]}/paasd.sock"


def fill_stdio() -> None:
    """Open what of 0, 1, 2 the caller closed: three descriptors go to the daemon."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this


def connect(path: str, root: str) -> _socket.socket:
    """A connection to the daemon; waits for one that is starting or being upgraded."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    began = time.monotonic()
    while True:
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            upgrading = os.path.exists(os.path.join(root, "upgrade", "record.json"))
            seconds = UPGRADE_SECONDS if upgrading else RESTART_SECONDS
            if time.monotonic() > began + seconds:
                remedy = (
                    "systemctl start paasd" if os.path.isdir("/run/systemd/system") else "paas up"
                )
                raise Trouble(UNAVAILABLE, "paasd is not running", f"Start it: {remedy}") from None
            time.sleep(0.05)
        except PermissionError:
            raise Trouble(DENIED, "You may not talk to paasd", "Use sudo, or ssh.") from None
        else:
            return connection


def hello(words: list[str], key: str | None) -> str:
    """The first frame's text. Strings are ASCII, bytes that are no UTF-8 included."""
    known = ((name, os.environ.get(name)) for name in ENVIRONMENT)
    env = ",".join(f"{quote(name)}:{quote(value)}" for name, value in known if value is not None)
    if key is None:
        what = f'"argv":[{",".join(map(quote, words))}]'
    else:
        # As it came: the daemon splits it, once.
        typed = os.environ.get("SSH_ORIGINAL_COMMAND", "")
        what = f'"key":{quote(key)},"command":{quote(typed)}'
    return f'{{"protocol":{PROTOCOL},{what},"env":{{{env}}},"cwd":{quote(directory())}}}'


def directory() -> str:
    """Where the caller is."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def send(connection: _socket.socket, text: str, *, stdio: bool = True) -> None:
    """Send a frame, with stdin, stdout and stderr or without.

    A hang-up of the other end is no error yet: what it said before is still to be read.
    """
    data = len(text).to_bytes(4, "big") + text.encode("ascii")
    numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)] if stdio else []
    try:
        sent = connection.sendmsg([data], rights)
        if sent < len(data):
            connection.sendall(data[sent:])
    except (BrokenPipeError, ConnectionResetError):
        return


class Session:
    """The wait for the command's end."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._terminal: list[int | list[bytes | int]] | None = None
        self._impatience = 0
        self._nudges = False
        self._code: int | None = None

    def run(self, text: str) -> int:
        """Ask, and serve both sides until the command has ended; its exit code."""
        wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Before anything is asked: from then on a signal is the command's.
        for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGWINCH):
            _signal.signal(number, lambda *_: None)
        _signal.set_wakeup_fd(write)
        send(self._connection, text)
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._connection.fileno(), select.POLLIN)
        # No event asked for: a hang-up is reported anyway. Without a terminal sshd tells
        # nobody that its client left, but it closes our stdout.
        poll.register(1, 0)
        try:
            while self._code is None:
                events = poll.poll(NUDGE_MS if self._nudges else None)
                if not events:
                    self._nudge()
                for descriptor, _ in events:
                    if descriptor == wake:
                        self._signalled(os.read(wake, 64))
                    elif descriptor == 1:
                        self._leave(_signal.SIGPIPE)
                    else:
                        self._receive()
        finally:
            self._cook()
        return self._code

    def _leave(self, number: int) -> None:
        """End as by a signal; the command notices by the end of the connection."""
        if self._code is None:
            self._code = 128 + number

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == _signal.SIGHUP:
                self._leave(number)
                continue
            if number != _signal.SIGWINCH:
                self._impatience += 1
                if self._impatience >= PATIENCE:
                    self._leave(number)
            self._tell(number)
            self._nudges = True

    def _nudge(self) -> None:
        """A command that was about to wait in the kernel when a signal came, and has only marked
        it as come (CPython's `signal` module), looks at it with this one: of all signals the
        size of the window can be told twice.
        """
        self._nudges = False
        self._tell(_signal.SIGWINCH)

    def _tell(self, number: int) -> None:
        send(self._connection, f'{{"signal":{number}}}', stdio=False)

    def _receive(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                break
            self._obey(self._buffer[4:end])
            self._buffer = self._buffer[end:]
        if not data and self._code is None:
            raise Trouble(
                LOST,
                "paasd stopped before the command was done",
                "A deploy that was past its build is completed when paasd runs again.",
            )

    def _obey(self, body: bytes) -> None:
        """A frame of the daemon's is an object of one member."""
        name, _, value = body.strip(b"{}").partition(b":")
        if name == b'"exit"':
            self._code = int(value)
        elif name == b'"raw"':
            self._raw() if value == b"true" else self._cook()
        elif name == b'"say"':
            import json  # 6 ms, for the rare command that cannot speak for itself

            self._cook()
            complain(json.loads(value))

    def _raw(self) -> None:
        """Let every key through to the command: cfmakeraw(3) but for the name."""
        import termios  # most commands need none

        if self._terminal is not None or not os.isatty(0):
            return
        self._terminal = termios.tcgetattr(0)
        mode = termios.tcgetattr(0)
        mode[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(0, termios.TCSADRAIN, mode)

    def _cook(self) -> None:
        """Give the terminal back as it was."""
        if self._terminal is None:
            return
        import termios

        mode, self._terminal = self._terminal, None
        # From the background, or when the terminal is gone, there is nothing to restore it for.
        _signal.signal(_signal.SIGTTOU, _signal.SIG_IGN)
        try:
            termios.tcsetattr(0, termios.TCSADRAIN, mode)
        except termios.error:
            return


def complain(text: str) -> None:
    """Say something on stderr, in the output grammar of warnings."""
    lines = "".join(f" !     {line}\n" for line in text.splitlines())
    try:
        os.write(2, lines.encode(errors="surrogateescape"))
    except OSError:
        return  # nobody listens


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
