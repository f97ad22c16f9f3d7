"""The commands of domains: under which names an app is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, words
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.sites import World
from paas.model.app import App
from paas.model.idn import to_unicode
from paas.model.names import parse_domain
from paas.model.route import Route, parse_route
from paas.model.settings import DOMAIN, server_domains


def add(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """Serve an app under more domains."""
    routes = list(map(parse_route, domains))
    session.platform.edge.add_domains(
        app,
        routes,
        consent=session.consent("domains:add"),
        actor=session.actor,
        report=session.report,
    )
    for route in routes:
        session.report.step(f"Added {shown(route)} to {app.name}")


def remove(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """No longer serve an app under some domains."""
    routes = list(map(parse_route, domains))
    session.platform.edge.remove_domains(app, routes, actor=session.actor, report=session.report)
    for route in routes:
        session.report.step(f"Removed {shown(route)} from {app.name}")


def replace(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """Serve an app under these domains and no others."""
    routes = list(map(parse_route, domains))
    session.platform.edge.set_domains(
        app,
        routes,
        consent=session.consent("domains:set"),
        actor=session.actor,
        report=session.report,
    )
    session.report.step(f"{app.name} is served at {', '.join(map(shown, routes))}")


def clear(session: Session, app: App) -> None:
    """Serve an app under no domain at all."""
    session.platform.edge.set_domains(
        app,
        (),
        consent=session.consent("domains:clear"),
        actor=session.actor,
        report=session.report,
    )
    session.report.step(f"{app.name} has no domains")


def reset(session: Session, app: App) -> None:
    """Serve an app under the domain it has by itself alone."""
    session.platform.edge.reset_domains(app, actor=session.actor, report=session.report)
    session.report.step(f"{app.name} has the domains it had first")


def list_domains(session: Session, app: App, form: str) -> None:
    """Print the names an app is served under, the one it has by itself first."""
    names = [str(route) for route in World.of(session.store).hosts.served(app.id)]
    if form == "json":
        session.output.json(names)
        return
    session.report.result(f"{app.name} domains")
    for name in names:
        session.output.line(name)


def report(session: Session, app: App | None, form: str) -> None:
    """Print what is set about the domains of an app, or of the server and all apps."""
    server = server_domains(session.store.settings.value(DOMAIN))
    found: dict[str, dict[str, object]] = {}
    if app is None:
        found["global"] = {"domains": server}
    for each in [app] if app else session.apps():
        found[each.name] = _facts(session, each)
    if form == "json":
        session.output.json(found[app.name] if app else found)
        return
    for name, facts in found.items():
        session.report.result(f"{name} domains information")
        rows = [(f"{label.capitalize()}:", _words(value)) for label, value in facts.items()]
        for line in columns(rows):
            session.output.line(f"       {line}")


def _facts(session: Session, app: App) -> dict[str, object]:
    router = session.platform.router
    return {
        "domains": [str(route) for route in router.served(app)],
        "redirects": [str(each.source) for each in session.store.domains.redirects(app.id)],
        "ports": [str(each) for each in session.store.ports.list(app.id)],
        "urls": router.urls(app),
    }


def _words(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def shown(route: Route) -> str:
    """A route as it is, and how its owner writes it."""
    readable = to_unicode(route.host)
    return str(route) if readable == route.host else f"{route} ({readable}{route.path})"


def change_server(
    change: Callable[[Sequence[str], Sequence[str]], Sequence[str]],
) -> Callable[..., None]:
    """A command's function that changes the server's domains: from those it has and the words."""

    def run(session: Session, domains: tuple[str, ...] = ()) -> None:
        before = server_domains(session.store.settings.value(DOMAIN))
        after = change(before, [parse_domain(text) for text in domains])
        session.platform.edge.set_server_domains(after, actor=session.actor, report=session.report)
        session.report.step(
            f"Apps are served below {', '.join(after)}" if after else "Apps have no domains of ours"
        )

    return run


def _without(before: Sequence[str], gone: Sequence[str]) -> Sequence[str]:
    if missing := set(gone) - set(before):
        raise Misused(f"{min(missing)} is not one of the server's domains")
    return [name for name in before if name not in gone]


COMMANDS = (
    Command(
        "domains:add",
        "Add domains to an app",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(words("domains", "DOMAIN"),),
        description="*.example.com is every name below it; example.com/api leads what is below "
        "that path to the app. Where another app has that domain, or by such a * all below "
        "it, only who may deploy that one too can say so.",
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
        "domains:set",
        "Give an app these domains and no others",
        Access.DEPLOY,
        replace,
        Names.AN_APP,
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command("domains:clear", "Take all domains from an app", Access.DEPLOY, clear, Names.AN_APP),
    Command(
        "domains:reset",
        "Give an app the domain that it had first",
        Access.DEPLOY,
        reset,
        Names.AN_APP,
    ),
    Command(
        "domains:list",
        "List the domains of an app",
        Access.VIEW,
        list_domains,
        Names.AN_APP,
        options=(format_option(),),
    ),
    Command(
        "domains:report",
        "Show the domains of an app, or of the server and all apps",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
    Command(
        "domains:add-global",
        "Serve every app below more domains",
        Access.ADMIN,
        change_server(lambda before, new: list(dict.fromkeys([*before, *new]))),
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command(
        "domains:remove-global",
        "Serve no app below some domains any more",
        Access.ADMIN,
        change_server(_without),
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command(
        "domains:set-global",
        "Serve every app below these domains and no others",
        Access.ADMIN,
        change_server(lambda _, new: new),
        arguments=(words("domains", "DOMAIN"),),
    ),
    Command(
        "domains:clear-global",
        "Serve no app below a domain of the server's",
        Access.ADMIN,
        change_server(lambda _before, _new: ()),
    ),
)
