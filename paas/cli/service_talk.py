"""connect, enter, logs, export, import, and what a plugin has of its own."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, words
from paas.cli.output import columns
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.service_commands import ServiceCommands
from paas.cli.session import Session
from paas.errors import PaasError
from paas.host.streams import write_all
from paas.host.terminal import is_terminal
from paas.model.names import shown
from paas.plugin.manifest import Extra

CHUNK = 1 << 20


class NotAList(PaasError):
    """What a command of a plugin wrote is not the list that its plugin.toml says it is."""


class Talking:
    """The commands that talk to one datastore's servers, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def connect(
        self, session: Session, service: str, argv: tuple[str, ...], database: str | None = None
    ) -> int:
        """Run the native client; its exit code is ours."""
        return self._run(session, service, "connect", _behind(argv), database)

    def enter(self, session: Session, service: str, argv: tuple[str, ...]) -> int:
        """Run a shell beside the server, or a command."""
        found = self._of.find(session, service)
        session.request.channel.end_with_client()
        return session.platform.service_talk.enter(found, _behind(argv), session.terminal())

    def export(self, session: Session, service: str, database: str | None = None) -> int:
        """Write the native dump to standard output."""
        if is_terminal(session.request.stdout):
            raise Misused(
                "A dump is no text for a terminal",
                resolution=f"Give it a file: {self._of.noun}:export {service} > {service}.dump",
            )
        return self._run(session, service, "export", (), database)

    def import_(self, session: Session, service: str, database: str | None = None) -> int:
        """Read a native dump from standard input."""
        if is_terminal(session.request.stdin):
            raise Misused(
                "No data provided on stdin",
                resolution=f"Give it a file: {self._of.noun}:import {service} < {service}.dump",
            )
        if "import" in self._of.manifest.commands:
            return self._run(session, service, "import", (), database)
        self._replace(session, service)
        return 0

    def _replace(self, session: Session, service: str) -> None:
        """A server that reads dumps only when it starts: another one starts with it."""
        found = self._of.find(session, service)
        session.platform.services.check_keeps_data(found, "import")
        copies = session.platform.service_copies
        with copies.spool() as dump:
            while data := os.read(session.request.stdin, CHUNK):
                write_all(dump, data)
            copies.replace_content(
                found, dump, actor=session.actor, report=session.report, why="imported"
            )

    def extra(self, extra: Extra, session: Session, service: str, argv: tuple[str, ...]) -> int:
        """Run a command that only this plugin has."""
        return self._run(session, service, extra.name, argv, None)

    def listing(
        self, extra: Extra, session: Session, service: str, argv: tuple[str, ...], form: str
    ) -> int:
        """Run one that answers with a list: a table, or JSON."""
        found = self._of.find(session, service)
        answer = session.platform.service_talk.answer(found, extra.name, argv)
        for line in answer.errors.splitlines():
            session.report.warn(line)
        rows = [_row(extra, line) for line in answer.output.splitlines()]
        if form == "json":
            session.output.json([_entry(extra, row) for row in rows])
            return answer.code
        for line in columns(rows) if rows else ():
            session.output.line(line)
        return answer.code

    def _run(
        self,
        session: Session,
        service: str,
        command: str,
        argv: tuple[str, ...],
        database: str | None,
    ) -> int:
        found = self._of.find(session, service)
        session.request.channel.end_with_client()
        return session.platform.service_talk.run(
            found, command, session.terminal(), words=argv, database=database or ""
        )

    def logs(self, session: Session, service: str, num: int, *, tail: bool) -> None:
        """Print the last lines of the server."""
        found = self._of.find(session, service)
        session.request.channel.end_with_client()
        session.platform.service_talk.logs(found, lines=num, follow=tail, out=session.output.data)


def _row(extra: Extra, line: str) -> list[str]:
    values = line.split("\t")
    if len(values) != len(extra.columns):
        raise NotAList(
            f"{shown(line)} is not {' and '.join(extra.columns)}, parted by a tab",
            resolution="It is what a command of the plugin wrote: tell who makes it.",
        )
    return values


def _entry(extra: Extra, row: Sequence[str]) -> object:
    """A list of one column is one of texts."""
    return row[0] if len(row) == 1 else dict(zip(extra.columns, row, strict=True))


def _behind(argv: tuple[str, ...]) -> tuple[str, ...]:
    return argv[1:] if argv[:1] == (END_OF_OPTIONS,) else argv


def talk(of: ServiceCommands) -> Iterator[Command]:
    """The commands that talk to one datastore's servers."""
    do = Talking(of)
    title = of.manifest.title
    yield of.command(
        "connect",
        f"Connect to a {title} service with its own client",
        Access.DEPLOY,
        do.connect,
        arguments=(words("argv", "WORD", required=False),),
        options=_database(of),
        passes_through=True,
        description="Over ssh, `ssh -t` gives it a terminal. Options come before the service.",
    )
    yield of.command(
        "enter",
        f"Run a shell or a command beside a {title} server",
        Access.DEPLOY,
        do.enter,
        arguments=(words("argv", "COMMAND", required=False),),
        passes_through=True,
    )
    yield of.command(
        "logs",
        f"Print the log of a {title} service",
        Access.DEPLOY,
        do.logs,
        options=(
            click.Option(["-t", "--tail"], is_flag=True, help="Follow what is written."),
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(0, 100_000),
                default=100,
                metavar="LINES",
                help="How many lines, 100 unless given.",
            ),
        ),
    )
    yield of.command(
        "export",
        f"Write a dump of a {title} service to standard output",
        Access.DEPLOY,
        do.export,
        options=_database(of),
    )
    yield of.command(
        "import",
        f"Load a dump into a {title} service from standard input",
        Access.DEPLOY,
        do.import_,
        options=_database(of),
        description="What is no whole dump changes nothing.",
    )
    for extra in of.manifest.extra:
        yield of.command(
            extra.name,
            extra.summary,
            Access.DEPLOY,
            functools.partial(do.listing if extra.columns else do.extra, extra),
            arguments=(words("argv", "NAME", required=False),),
            options=(format_option(),) if extra.columns else (),
        )


def _database(of: ServiceCommands) -> tuple[click.Option, ...]:
    if "database" not in of.manifest.credentials:
        return ()
    return (click.Option(["--database"], metavar="NAME", help="Another database of it."),)
