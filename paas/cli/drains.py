"""The commands of drains: where the output of an app is sent on to."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.drains import Progress
from paas.model.app import App
from paas.model.drain import DRAIN_HOSTS, parse_drain
from paas.model.names import shown
from paas.store.drains import Drain

MAX_URL = 4096


def listing(session: Session, app: App, form: str) -> None:
    """Show the drains of an app, and whether they take what they are sent."""
    drains = session.platform.drains
    found = [(drain, drains.progress(drain)) for drain in session.store.drains.of(app.id)]
    if form == "json":
        session.output.json([_entry(*each) for each in found])
        return
    session.report.result(f"{app.name} drains")
    rows = [
        (drain.id, str(drain.url), str(progress.sent), _state(progress))
        for drain, progress in found
    ]
    for line in columns([("ID", "URL", "LINES", "STATE"), *rows]):
        session.output.line(line)


def add(session: Session, app: App, url: str) -> None:
    """Send on what an app writes from now on."""
    if url == "-":
        url = session.read_input(MAX_URL).decode("utf-8", "replace").strip()
    drain = session.platform.drains.add(app, parse_drain(url), actor=session.actor)
    session.platform.wake()
    session.report.step(f"Adding drain {drain.id} to {app.name}: {drain.url}")
    if not drain.url.has_tls:
        session.report.warn("Everybody on the way there can read it: syslog+tls:// is encrypted")


def remove(session: Session, app: App, drain: str) -> None:
    """Send nothing there any more."""
    gone = session.platform.drains.remove(app, drain, actor=session.actor)
    session.report.step(f"Removing drain {gone.id} of {app.name}: {gone.url}")


def allow_host(session: Session, host: str) -> None:
    """Let logs be sent to a host whose address is not public."""
    if not host or "," in host or not host.isprintable() or " " in host or host.startswith("-"):
        raise Misused(f"{shown(host)} is not a host")
    settings = session.store.settings
    with session.store.transaction():
        hosts = settings.value(DRAIN_HOSTS) | {host}
        settings.set(None, DRAIN_HOSTS.name, ",".join(sorted(hosts)))
        session.store.events.add(session.actor, "", "drain host allowed", host)
    session.report.step(f"Logs may be sent to {host}")


def _state(progress: Progress) -> str:
    words = []
    if progress.failing_since is not None:
        words.append(f"failing since {moment(progress.failing_since)}: {progress.error}")
    if progress.gaps:
        words.append(f"{progress.gaps} times lines were gone before they were sent")
    if progress.refused:
        words.append(f"{progress.refused} lines refused")
    return "; ".join(words) or "ok"


def _entry(drain: Drain, progress: Progress) -> dict[str, object]:
    return {
        "id": drain.id,
        "url": str(drain.url),
        "actor": drain.actor,
        "created": moment(drain.created_at),
        "lines": progress.sent,
        "gaps": progress.gaps,
        "refused": progress.refused,
        "error": progress.error or None,
        "failing_since": None if progress.failing_since is None else moment(progress.failing_since),
    }


COMMANDS = (
    Command(
        "drains",
        "Show where the output of an app is sent on to",
        Access.VIEW,
        listing,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "drains:add",
        "Send the output of an app on",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(one_word("url", "URL"),),
        description="To syslog+tls://HOST[:PORT] or syslog://HOST:PORT by RFC 5424, or as JSON to "
        "https://HOST/PATH, where user and password may stand before the host; - reads the URL "
        "from standard input. What cannot be sent waits in the app's log files: the app never "
        "does. It arrives at least once.",
    ),
    Command(
        "drains:remove",
        "Send the output of an app there no more",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(one_word("drain", "URL|ID"),),
    ),
    Command(
        "drains:allow-host",
        "Let logs be sent to a host inside",
        Access.ADMIN,
        allow_host,
        arguments=(one_word("host", "HOST"),),
        description="Hosts whose address is not public are refused else: they are this server's "
        "neighbours, and not the apps'.",
    ),
)
