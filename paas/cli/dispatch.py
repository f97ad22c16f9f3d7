"""The one dispatcher: find the command, authorise, parse, run, and catch what it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

from paas.cli.access import Access, Permissions, authorise, permissions_of
from paas.cli.command import Command, Names, Table
from paas.cli.errors import Errors
from paas.cli.git import GIT_PROTOCOL, error_packet
from paas.cli.output import Output
from paas.cli.parsing import Flags, parse, split_flags
from paas.cli.platform import Platform
from paas.cli.session import Session
from paas.cli.verdict import await_verdict
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
        with closing(Store(self.layout)) as store:
            permissions = permissions_of(request.caller, store)
            # Before anything is parsed: what a stranger types is nobody's business.
            if command.app is Names.NO_APP or permissions.roles is None:
                authorise(permissions, command.access, command.name)
            request = _as_user(request, permissions)
            parsed = parse(command, rest, self._with_default_app(flags, request))
            session = self._session(request, parsed.flags, store, permissions)
            if parsed.flags.help:
                return self.table.find("help").run(session, words=(command.name,)) or 0
            await_verdict(self.layout, command)
            parameters = parsed.parameters | self._app(command, parsed.app, session)
            return command.run(session, **parameters) or 0

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

    def _app(self, command: Command, name: str | None, session: Session) -> dict[str, Any]:
        """The app that the command is about, if the caller may do that to it."""
        may, store = session.permissions, session.store
        if command.app is Names.NO_APP:
            return {}
        if command.app is Names.A_NAME:
            named = parse_app_name(name or "")
            known = store.apps.find(named)
            if known is not None or not may.may_create():
                authorise(may, command.access, command.name, known)
            return {"app": named}
        app = None if name is None else store.apps.get(name)
        server = app is None and command.app is Names.APP_OR_GLOBAL
        authorise(may, Access.ADMIN if server else command.access, command.name, app)
        return {"app": app}

    def _session(
        self, request: Request, flags: Flags, store: Store, permissions: Permissions
    ) -> Session:
        return Session(
            request=request,
            layout=self.layout,
            store=store,
            output=Output(request.stdout, request.stderr, quiet=flags.quiet),
            table=self.table,
            permissions=permissions,
            open_platform=lambda: self.open_platform(store),
            publish_keys=lambda: self.publish_keys(store),
            force=flags.force,
        )


def _as_user(request: Request, permissions: Permissions) -> Request:
    """The request with who asks, instead of with which of their keys."""
    if permissions.user is None:
        return request
    return replace(request, caller=replace(request.caller, name=permissions.user))
