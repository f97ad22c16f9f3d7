"""The commands of redirects: hosts and paths that lead elsewhere."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.session import Session
from paas.model.app import App
from paas.model.route import Redirect, parse_code, parse_route, parse_target


def add(session: Session, app: App, source: str, target: str, code: str) -> None:
    """Send visitors of a host, or of a path, to a URL."""
    redirect = Redirect(parse_route(source), parse_target(target), parse_code(code))
    session.platform.edge.add_redirect(
        app,
        redirect,
        consent=session.consent("redirects:add"),
        actor=session.actor,
        report=session.report,
    )
    session.report.step(f"{redirect.source} leads to {redirect.target} ({redirect.code})")


def remove(session: Session, app: App, source: str) -> None:
    """No longer redirect."""
    route = parse_route(source)
    session.platform.edge.remove_redirect(app, route, actor=session.actor, report=session.report)
    session.report.step(f"{route} is not redirected any more")


def list_redirects(session: Session, app: App, form: str) -> None:
    """Print what an app redirects."""
    found = session.store.domains.redirects(app.id)
    if form == "json":
        entries = [
            {"source": str(each.source), "target": each.target, "code": each.code} for each in found
        ]
        session.output.json(entries)
        return
    session.report.result(f"{app.name} redirects")
    rows = [(str(each.source), each.target, str(each.code)) for each in found]
    for line in columns(rows) if rows else ():
        session.output.line(line)


COMMANDS = (
    Command(
        "redirects:add",
        "Send visitors of a host, or of a path of one, to a URL",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(one_word("source", "HOST[/PATH]"), one_word("target", "URL")),
        options=(
            click.Option(
                ["--code"], default="301", metavar="CODE", help="301, 302, 303, 307 or 308."
            ),
        ),
        description="A URL without a path keeps the one that was asked for. See also "
        "proxy:set APP canonical-host www|apex, and certs:set APP --https-redirect.",
    ),
    Command(
        "redirects:remove",
        "Redirect something no longer",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(one_word("source", "HOST[/PATH]"),),
    ),
    Command(
        "redirects:list",
        "List what an app redirects",
        Access.VIEW,
        list_redirects,
        Names.AN_APP,
        options=(format_option(),),
    ),
)
