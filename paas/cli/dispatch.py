"""The one dispatcher: find the command, authorise, parse, run, and catch what it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paas.cli.access import authorise
from paas.cli.command import Command, Names, Table
from paas.cli.errors import Errors
from paas.cli.git import GIT_PROTOCOL, error_packet
from paas.cli.output import Output
from paas.cli.parsing import Flags, parse, split_flags
from paas.cli.platform import Platform
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.layout import Layout
from paas.model.names import parse_app_name
from paas.model.request import Request
from paas.store.store import Store


@dataclass(frozen=True)
class Dispatcher:
    """Runs commands. `handle` is what the daemon calls, in a process of its own.

    `open_platform` makes the deploy layer over a store; `publish_keys` brings the store's
    keys to where sshd looks for them.
    """

    layout: Layout
    table: Table
    errors: Errors
    open_platform: Callable[[Store], Platform]
    publish_keys: Callable[[Store], None]

    def handle(self, request: Request) -> int:
        """Run the command that the request asks for; its exit code."""
        output = Output(request.stdout, request.stderr)
        try:
            return self._run(request)
        except BaseException as error:  # noqa: BLE001 - the catcher of everything
            code = self.errors.tell(error, output.report)
            if isinstance(error, PaasError) and request.argv and request.argv[0] in GIT_PROTOCOL:
                # What these raise, they raise before git has spoken.
                with suppress(BrokenPipeError):
                    output.data(error_packet(error.brief))
            return code

    def _run(self, request: Request) -> int:
        flags, words = split_flags(request.argv)
        name, rest = self._command_line(flags, words)
        command = self.table.find(name)
        authorise(request.caller, command.access, command.name)
        parsed = parse(command, rest, self._with_default_app(flags, request))
        if parsed.flags.help:
            command, parameters = self.table.find("help"), {"words": (command.name,)}
            session = self._session(request, parsed.flags)
        else:
            session = self._session(request, parsed.flags)
            parameters = parsed.parameters | self._app(command, parsed.app, session.store)
        try:
            return command.run(session, **parameters) or 0
        finally:
            session.store.close()

    def _command_line(self, flags: Flags, words: Sequence[str]) -> tuple[str, Sequence[str]]:
        """The command's name and its words; help and version in all their spellings."""
        if flags.version:
            return "version", ()
        if flags.help or not words:
            return "help", words
        name, rest = words[0], words[1:]
        noun = name.removesuffix(":help")
        asks_for_help = name != noun or (not rest and name not in self.table)
        return ("help", [noun]) if asks_for_help and noun in self.table.nouns() else (name, rest)

    def _with_default_app(self, flags: Flags, request: Request) -> Flags:
        app = flags.app or request.env.get("PAAS_APP") or None
        return Flags(app=app, quiet=flags.quiet, force=flags.force)

    def _app(self, command: Command, name: str | None, store: Store) -> dict[str, Any]:
        match command.app:
            case Names.NO_APP:
                return {}
            case Names.A_NAME:
                return {"app": parse_app_name(name or "")}
            case Names.AN_APP | Names.MAYBE_AN_APP | Names.APP_OR_GLOBAL:
                return {"app": None if name is None else store.apps.get(name)}

    def _session(self, request: Request, flags: Flags) -> Session:
        store = Store(self.layout)
        return Session(
            request=request,
            layout=self.layout,
            store=store,
            output=Output(request.stdout, request.stderr, quiet=flags.quiet),
            table=self.table,
            open_platform=lambda: self.open_platform(store),
            publish_keys=lambda: self.publish_keys(store),
            force=flags.force,
        )
