"""The one dispatcher: find the command, authorise, parse, run, and catch what it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

ALL_COMMANDS = ("help", "complete", "plugin:install")
"""Commands that are about commands."""


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
    more: Callable[[Store, Table], Iterable[Command]] = lambda _, __: ()
    """The commands that enabled plugins add; asked for only where one of ours is not meant."""

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
        with closing(Store(self.layout)) as store:
            table = self._table(words[0] if words else "help", store)
            name, rest = self._command_line(table, flags, words)
            command = table.find(name)
            permissions = permissions_of(request.caller, store)
            # Before anything is parsed: what a stranger types is nobody's business.
            if command.app is Names.NO_APP or permissions.roles is None:
                authorise(permissions, command.access, command.name)
            request = _as_user(request, permissions)
            parsed = parse(command, rest, self._with_default_app(flags, request))
            session = self._session(request, parsed.flags, store, permissions, table)
            if parsed.flags.help:
                return table.find("help").run(session, words=(command.name,)) or 0
            await_verdict(self.layout, command)
            parameters = parsed.parameters | self._app(command, parsed.app, session)
            return command.run(session, **parameters) or 0

    def _table(self, name: str, store: Store) -> Table:
        """The commands, with those of plugins where they can matter."""
        if name in self.table and name not in ALL_COMMANDS:
            return self.table
        more = tuple(self.more(store, self.table))
        return Table((*self.table, *more)) if more else self.table

    def _command_line(
        self, table: Table, flags: Flags, words: Sequence[str]
    ) -> tuple[str, Sequence[str]]:
        """The command's name and its words; help and version in all their spellings."""
        if flags.version:
            return "version", ()
        if flags.help or not words:
            return "help", words
        name, rest = words[0], words[1:]
        noun = name.removesuffix(":help")
        asks_for_help = name != noun or (not rest and name not in table)
        return ("help", [noun]) if asks_for_help and noun in table.nouns() else (name, rest)

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
        self,
        request: Request,
        flags: Flags,
        store: Store,
        permissions: Permissions,
        table: Table,
    ) -> Session:
        return Session(
            request=request,
            layout=self.layout,
            store=store,
            output=Output(request.stdout, request.stderr, quiet=flags.quiet),
            table=table,
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
