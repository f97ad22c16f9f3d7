"""The commands that reach into what runs: files in and out, and connections."""

from __future__ import annotations

import re
import time

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.forward import join
from paas.model.app import App
from paas.model.names import shown

STREAM = "-"
FORWARDED = "forwarded"
AGAIN_SECONDS = 600.0
INSTANCE = re.compile(r"(?P<name>[A-Za-z0-9_-]+(\.[0-9a-f]+)?):(?P<path>.*)", re.DOTALL)
HERE = (
    "Over ssh files come and go as a tar stream:"
    " ssh paas@server cp APP web.1:/PATH - > FILE.tar, or cp APP - web.1:/PATH < FILE.tar"
)


def cp(session: Session, app: App, source: str, target: str) -> None:
    """Copy files out of an instance as a tar on standard output, or into it from one."""
    if (source == STREAM) == (target == STREAM):
        raise Misused("One of both is web.1:PATH, the other -", resolution=HERE)
    instance, path = _place(source if target == STREAM else target)
    if not path:
        raise Misused("The path in the instance is missing: web.1:/PATH")
    session.request.channel.end_with_client()
    platform, container = session.platform, session.platform.instances.container(app, instance)
    if target == STREAM:
        if session.request.tty is not None:
            raise Misused("An archive is not written to a terminal", resolution=HERE)
        platform.engine.transfer.out(container, path, session.request.stdout)
    else:
        if session.request.tty is not None:
            raise Misused("The archive comes on standard input", resolution=HERE)
        platform.engine.transfer.into(container, path, session.request.stdin, keep_owner=False)
        session.store.events.add(session.actor, app.name, "copied in", target)


def forward(
    session: Session, app: App, target: str | None, port: int | None, local: str | None, *,
    check: bool,
) -> None:  # fmt: skip
    """Join standard input and output to a port of an instance or of a service."""
    if local is not None:
        raise Misused(
            "A port of your machine is opened by paas there",
            resolution="Without it each connection is one command: socat"
            f" TCP-LISTEN:PORT,fork EXEC:'ssh paas@server forward {app.name} …'",
        )
    if target is not None and target.isdecimal() and port is None:
        port, target = int(target), None
    if port is not None and not 0 < port < 65536:
        raise Misused(f"{port} is not a port")
    forwarding = session.platform.forwarding
    found = forwarding.find(app, target, port, anywhere=session.permissions.may(Access.ADMIN))
    connection = forwarding.connect(found)
    if check:
        connection.close()
        session.output.line(str(found))
        return
    if session.request.tty is not None:
        connection.close()
        raise Misused(
            "A connection is not joined to a terminal",
            resolution=f"On your machine: paas forward -L PORT {shown(target or 'web')}",
        )
    session.request.channel.end_with_client()
    _note(session, app, str(found))
    join(connection, session.request.stdin, session.request.stdout)


def _note(session: Session, app: App, target: str) -> None:
    """In the journal, where one of many connections of a moment stands for the others."""
    events = session.store.events
    last = events.last(app.name, FORWARDED)
    same = last is not None and (last.actor, last.detail) == (session.actor, target)
    if last is None or not same or time.time() - last.at > AGAIN_SECONDS:
        events.add(session.actor, app.name, FORWARDED, target)


def _place(text: str) -> tuple[str | None, str]:
    """`web.1:/PATH`; without an instance it is any, as in `enter`."""
    match = INSTANCE.fullmatch(text)
    return (match["name"], match["path"]) if match else (None, text)


COMMANDS = (
    Command(
        "cp",
        "Copy files into or out of a running instance",
        Access.DEPLOY,
        cp,
        Names.AN_APP,
        arguments=(one_word("source", "SOURCE"), one_word("target", "TARGET")),
        description="One is web.1:PATH; the other is - for a tar on standard input or output. "
        "With paas on your machine it is a path there: paas cp web.1:/app/log ./log. What is "
        "copied in is gone with the instance: volumes are for what stays.",
    ),
    Command(
        "forward",
        "Reach a port of an instance, or of a linked service",
        Access.DEPLOY,
        forward,
        Names.AN_APP,
        arguments=(
            one_word("target", "TARGET", required=False),
            click.Argument(["port"], metavar="PORT", required=False, type=int),
        ),
        options=(
            click.Option(
                ["-L", "--local", "local"],
                metavar="[ADDRESS:]PORT",
                help="With paas on your machine: the port that it opens there.",
            ),
            click.Option(["--check"], is_flag=True, help="Say what is reached, and end."),
        ),
        description="TARGET is web.1, DATABASE_URL, or a service: db, postgres:db. On your machine "
        "`paas forward -L 15432 DATABASE_URL` opens a port until ^C; over ssh alone one command "
        "is one connection, on its standard input and output.",
    ),
)
