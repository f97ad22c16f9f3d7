"""The commands of webhooks: who is told when something goes wrong."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.drains import MAX_URL
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.session import Session
from paas.model.app import App
from paas.model.webhook import TROUBLE, parse_webhook


def listing(session: Session, app: App | None, form: str) -> None:
    """Show who is told of an app's events, or of all apps'."""
    found = session.store.webhooks.of(app)
    if form == "json":
        session.output.json(
            [
                {
                    "id": one.id,
                    "url": str(one.url),
                    "events": "all" if one.every else "trouble",
                    "actor": one.actor,
                    "created": moment(one.created_at),
                    "error": one.error or None,
                }
                for one in found
            ]
        )
        return
    session.report.result(f"{app.name if app else 'Server'} webhooks")
    rows = [
        (one.id, str(one.url), "all" if one.every else "trouble", one.error or "ok")
        for one in found
    ]
    for line in columns([("ID", "URL", "EVENTS", "STATE"), *rows]):
        session.output.line(line)


def add(session: Session, app: App | None, url: str, *, every: bool) -> None:
    """Tell a webhook of events from now on."""
    if url == "-":
        url = session.read_input(MAX_URL).decode("utf-8", "replace").strip()
    notifier = session.platform.notifier
    webhook = notifier.add(app, parse_webhook(url), actor=session.actor, every=every)
    session.report.step(f"Adding webhook {webhook.id}: {webhook.url}")
    session.report.detail(f"To see that it works: paas notify:test {_whose(app)} {webhook.id}")


def remove(session: Session, app: App | None, webhook: str) -> None:
    """Tell a webhook nothing any more."""
    gone = session.platform.notifier.remove(app, webhook, actor=session.actor)
    session.report.step(f"Removing webhook {gone.id}: {gone.url}")


def test(session: Session, app: App | None, webhook: str) -> None:
    """Tell a webhook something now."""
    told = session.platform.notifier.test(app, webhook, actor=session.actor)
    session.report.step(f"{told.url} has taken a test notification")


def _whose(app: App | None) -> str:
    return "--global" if app is None else app.name


def _webhook() -> click.Argument:
    return one_word("webhook", "URL|ID")


COMMANDS = (
    Command(
        "notify:add",
        "Tell a webhook when something goes wrong",
        Access.DEPLOY,
        add,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("url", "URL"),),
        options=(
            click.Option(["--all", "every"], is_flag=True, help="Of every event, as `events` has."),
        ),
        description="An HTTPS URL that takes JSON; `text` is what a chat shows (Slack, Mattermost, "
        "Discord). - reads it from standard input. Unless --all is given, of: "
        f"{', '.join(sorted(TROUBLE))}. What is not taken is told again.",
    ),
    Command(
        "notify:list",
        "Show who is told of events",
        Access.DEPLOY,
        listing,
        Names.APP_OR_GLOBAL,
        options=(format_option(),),
    ),
    Command(
        "notify:remove",
        "Tell a webhook nothing any more",
        Access.DEPLOY,
        remove,
        Names.APP_OR_GLOBAL,
        arguments=(_webhook(),),
    ),
    Command(
        "notify:test",
        "Tell a webhook something now",
        Access.DEPLOY,
        test,
        Names.APP_OR_GLOBAL,
        arguments=(_webhook(),),
    ),
)
