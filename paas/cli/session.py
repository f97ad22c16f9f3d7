"""What a command works with: who asked, the store, the platform, and the way to answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from paas.cli.access import Access, Permissions, authorise
from paas.cli.command import Table
from paas.cli.output import Output
from paas.cli.platform import Platform
from paas.errors import PaasError
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.layout import Layout
from paas.model.report import Report
from paas.model.request import Request
from paas.store.store import Store

CHUNK = 64 * 1024


class TooMuchInput(PaasError):
    """Standard input gave more than the command can use."""


class NotConfirmed(PaasError):
    """The user did not type the name, or could not."""


@dataclass(frozen=True)
class Session:
    """One command of one caller. `force` means that nothing is asked."""

    request: Request
    layout: Layout
    store: Store
    output: Output
    table: Table
    permissions: Permissions
    open_platform: Callable[[], Platform]
    publish_keys: Callable[[], None]
    force: bool = False

    @cached_property
    def platform(self) -> Platform:
        """The deploy layer; opened by the commands that need it, once."""
        return self.open_platform()

    @property
    def report(self) -> Report:
        """Where progress goes."""
        return self.output.report

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.request.caller

    @property
    def actor(self) -> str:
        """The caller's name, for releases and events."""
        return self.caller.actor

    def note(self, app: App | None, what: str, detail: str = "") -> None:
        """Record in the journal what the caller does; `detail` holds no secret."""
        self.store.events.add(self.actor, app.name if app is not None else "", what, detail)

    def keep(self, app: App | None, name: str, value: str | None, what: str, word: str) -> None:
        """Set a setting of an app or of the server, and record it as `what`: its word, its value.

        None unsets it.
        """
        with self.store.transaction():
            self.store.settings.set(app.id if app is not None else None, name, value)
            self.note(app, what, f"{word} {value or ''}".rstrip())

    def consent(self, command: str) -> Callable[[App], None]:
        """What raises `Denied` for an app that the caller may not deploy, in a command's name."""
        return lambda app: authorise(self.permissions, Access.DEPLOY, command, app)

    def apps(self) -> list[App]:
        """The apps that the caller may see."""
        return [app for app in self.store.apps.list() if self.permissions.may(Access.VIEW, app)]

    def terminal(self, kind: type[Terminal] = Terminal) -> Terminal:
        """The caller's descriptors, for a command that is somebody else's."""
        request = self.request
        return kind(request.stdin, request.stdout, request.stderr, request.channel)

    def read_input(self, most: int) -> bytes:
        """Standard input to its end. Raises `TooMuchInput` beyond `most` bytes."""
        data = bytearray()
        while chunk := os.read(self.request.stdin, CHUNK):
            data += chunk
            if len(data) > most:
                raise TooMuchInput(f"Standard input is longer than {most} bytes")
        return bytes(data)

    def confirm(self, name: str, consequence: str) -> None:
        """Have the user type `name` before something is lost; `--force` skips it.

        Raises `NotConfirmed`, also when there is no terminal to ask on.
        """
        if self.force:
            return
        self.report.warn("WARNING: Potentially Destructive Action")
        self.report.warn(consequence)
        if self.request.tty is None:
            raise NotConfirmed(
                "There is no terminal to confirm it on",
                resolution="Add --force if you mean it.",
            )
        self.report.warn(f'To proceed, type "{name}"')
        self.output.data(b"\n> ")
        # A terminal in its usual mode gives one line for one read (termios(3), ICANON).
        typed = os.read(self.request.stdin, CHUNK).decode(errors="replace").strip()
        if typed != name:
            raise NotConfirmed(f'"{typed[:80]}" is not "{name}". Nothing was changed')
