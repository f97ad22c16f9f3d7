"""The commands of the journal: what was done, when and by whom, and how much of it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import moment
from paas.cli.session import Session
from paas.model.app import App
from paas.model.harmless import harmless
from paas.model.logsettings import EVENT_SETTINGS, EVENTS_AGE, EVENTS_COUNT
from paas.model.processes import UnknownProperty
from paas.store.events import Event

DEFAULT_COUNT = 100
FOLLOW_SECONDS = 0.2


def events(session: Session, app: App | None, num: int, form: str, *, tail: bool) -> None:
    """Show the last events of what the caller may see, and go on when asked to."""
    found = session.store.events.tail(num, _names(session, app))
    if form == "json" and not tail:
        session.output.json([_entry(one) for one in found])
        return
    for one in found:
        _show(session, one, form)
    if tail:
        session.request.channel.end_with_client()
        for one in _following(session, app, found[-1].id if found else None):
            _show(session, one, form)


def change(session: Session, key: str, value: str | None) -> None:
    """Set how much is kept; without a value it is as at first."""
    setting = EVENT_SETTINGS.get(key)
    if setting is None:
        raise UnknownProperty(key, list(EVENT_SETTINGS))
    if value is not None:
        setting.parse(value)
    session.keep(None, setting.name, value, "events:set", key)
    session.report.step(f"Setting {key} to {value}" if value is not None else f"Unsetting {key}")


def _following(session: Session, app: App | None, last: int | None) -> Iterator[Event]:
    """Events as they come, without end. Who may see what is asked each time."""
    seen = last if last is not None else session.store.events.newest()
    while True:
        for one in session.store.events.after(seen, _names(session, app)):
            seen = one.id
            yield one
        time.sleep(FOLLOW_SECONDS)


def _names(session: Session, app: App | None) -> list[str] | None:
    """The apps whose events are shown; None for all, the server's own among them."""
    if app is not None:
        return [app.name]
    if session.permissions.may(Access.ADMIN):
        return None
    return [each.name for each in session.apps()]


def _show(session: Session, one: Event, form: str) -> None:
    if form == "json":
        session.output.json(_entry(one))
        return
    words = [one.app or "-", one.actor, one.what, one.detail]
    session.output.line(harmless(f"{moment(one.at)}  {'  '.join(filter(None, words))}"))


def _entry(one: Event) -> dict[str, object]:
    return {
        "id": one.id,
        "at": one.at,
        "time": moment(one.at),
        "actor": one.actor,
        "app": one.app or None,
        "event": one.what,
        "detail": one.detail,
    }


COMMANDS = (
    Command(
        "events",
        "Show what was done, when and by whom",
        Access.VIEW,
        events,
        Names.MAYBE_AN_APP,
        options=(
            click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes."),
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(0, 1_000_000),
                default=DEFAULT_COUNT,
                metavar="COUNT",
                help=f"How many, {DEFAULT_COUNT} unless given.",
            ),
            format_option(),
        ),
        description="With --tail, JSON is one object a line.",
    ),
    Command(
        "events:set",
        "Set how much of what was done is kept on record",
        Access.ADMIN,
        change,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        description="; ".join(f"{key}: {each.help}" for key, each in EVENT_SETTINGS.items())
        + f". {EVENTS_COUNT.default} and {EVENTS_AGE.default / 86400:.0f}d unless set.",
    ),
)
