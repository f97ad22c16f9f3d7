"""The commands of domains: under which names an app is served."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, words
from paas.cli.session import Session
from paas.model.app import App
from paas.model.names import parse_domain
from paas.model.settings import DOMAIN


def add(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """Serve an app under more domains."""
    for name in [parse_domain(text) for text in domains]:
        session.platform.add_domain(app, name, actor=session.actor, report=session.report)
        session.report.step(f"Added {name} to {app.name}")


def remove(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """No longer serve an app under some domains."""
    for name in [parse_domain(text) for text in domains]:
        session.platform.remove_domain(app, name, actor=session.actor, report=session.report)
        session.report.step(f"Removed {name} from {app.name}")


def list_domains(session: Session, app: App, form: str) -> None:
    """Print the names an app is served under, the one it has by itself first."""
    own = session.store.settings.value(DOMAIN)
    names = [f"{app.name}.{own}"] if own else []
    names += session.store.domains.list(app.id)
    if form == "json":
        session.output.json(names)
        return
    session.report.result(f"{app.name} domains")
    for name in names:
        session.output.line(name)


COMMANDS = (
    Command(
        "domains:add",
        "Add domains to an app",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command(
        "domains:remove",
        "Remove domains from an app",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command(
        "domains:list",
        "List the domains of an app",
        Access.VIEW,
        list_domains,
        Names.AN_APP,
        options=(format_option(),),
    ),
)
