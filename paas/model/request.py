"""One command as it reaches a handler: who asks for what, on which descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from paas.model.caller import Caller


class TerminalSize(NamedTuple):
    """Of a terminal, in characters."""

    columns: int
    rows: int


class Channel(Protocol):
    """The line to the waiting client. Signals that it forwards arrive as real ones.

    SIGINT raises `KeyboardInterrupt`, SIGTERM `SystemExit(143)`; a handler may install
    its own. Callbacks run between two bytecodes of the main thread, as signal handlers
    do, and may raise: the exception surfaces in whatever the handler is doing.
    """

    @property
    def closed(self) -> bool:
        """Whether the client has gone: its ssh connection dropped, or it was killed."""

    def fileno(self) -> int:
        """For poll(2) with POLLRDHUP alone: what is readable belongs to the channel."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call when the client goes; at once if it has."""

    def end_with_client(self) -> None:
        """From here on the command ends by `SystemExit(129)` when the client goes.

        For what makes no sense without its reader: run, enter, following a log. A
        command that changes something does not call this, and comes to a clean end.
        """

    def on_resize(self, callback: Callable[[], None]) -> None:
        """Call when the window of the client's terminal has another size."""

    def set_raw(self, *, on: bool) -> None:
        """Have the client put its terminal in raw mode, or back. It also undoes it alone."""


@dataclass(frozen=True)
class Request:
    """A command, in a process of its own, on the caller's descriptors.

    `argv` is without the program's name. `cwd` is the caller's directory, to resolve a
    relative path with; the process itself stays in `/`, so that it holds no mount busy.
    `tty` is the window size when both stdin and stdout are a terminal, else None. The
    descriptors are also the process's own 0, 1 and 2, and may be anything: a terminal, a
    pipe whose reader is gone, a file. They are shared with the caller's shell, hence never
    set to non-blocking.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    caller: Caller
    stdin: int
    stdout: int
    stderr: int
    tty: TerminalSize | None
    channel: Channel
