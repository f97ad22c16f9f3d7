"""The commands of networks: which apps reach each other."""

from __future__ import annotations

from collections.abc import Set

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word, words
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.networks import Membership
from paas.engine.network.named import NetworkNotFound
from paas.model.app import App

JOINING = ("attach-post-deploy", "attach-post-create", "initial-network")
"""Dokku's properties. Here an app is in a network from the moment that it is set."""

ALWAYS = {
    "bind-all-interfaces": "Containers are reached through the proxy and `ports:add` alone",
    "static-web-listener": "Each app has a stable address of its own",
    "tld": "Names of apps end in .internal",
}


def create(session: Session, network: str) -> None:
    """Make a network."""
    session.platform.networks.create(network, actor=session.actor)
    session.report.step(f"Creating network {network}")
    session.report.detail(f"Have an app join: paas network:set APP attach-post-deploy {network}")


def destroy(session: Session, network: str) -> None:
    """Remove a network, after its name was typed."""
    session.platform.networks.get(network)
    session.confirm(network, f"This command will destroy network {network}.")
    session.platform.networks.destroy(network, actor=session.actor)
    session.report.step(f"Destroying network {network}")


def exists(session: Session, network: str) -> None:
    """End with 0 when there is such a network."""
    _visible(session, network)


def list_networks(session: Session, form: str) -> None:
    """Print the networks."""
    found = _seen(session)
    if form == "json":
        session.output.json([{"name": each.name, "apps": list(each.apps)} for each in found])
        return
    session.report.result("Networks")
    for each in found:
        session.output.line(each.name)


def info(session: Session, network: str, form: str) -> None:
    """Print who is in a network."""
    found = _visible(session, network)
    if form == "json":
        session.output.json(
            {"name": found.name, "created_at": found.created_at, "apps": list(found.apps)}
        )
        return
    session.report.result(f"{network} network information")
    rows = [("Created at:", moment(found.created_at)), ("Apps:", ", ".join(found.apps))]
    for line in columns(rows):
        session.report.detail(line)


def set_property(
    session: Session, app: App, prop: str, values: tuple[str, ...], alias: tuple[str, ...]
) -> None:
    """Have an app in these networks and no others."""
    if prop in ALWAYS:
        raise Misused(f"{prop} cannot be set here. {ALWAYS[prop]}")
    if prop not in JOINING:
        raise Misused(f"There is no property {prop[:40]!r}: use {', '.join(JOINING)}")
    networks = [name for value in values for name in value.split(",") if name]
    if alias and not networks:
        raise Misused("An alias is a name in a network: name that too")
    session.platform.networks.put(app, networks, alias, actor=session.actor)
    if not networks:
        session.report.step(f"{app.name} is in no network")
        return
    session.report.step(f"{app.name} is in {', '.join(networks)}")
    session.report.detail(f"Others there find it as {app.name}.internal")


def report(session: Session, app: App | None, form: str) -> None:
    """Print the networks, links and names of an app, or of all."""
    everyone = session.apps()
    visible = {each.name for each in everyone}
    found = [(each, _report(session, each, visible)) for each in ([app] if app else everyone)]
    if form == "json":
        documents = [{"app": each.name, **properties} for each, properties in found]
        session.output.json(documents[0] if app else documents)
        return
    for each, properties in found:
        session.report.result(f"{each.name} network information")
        rows = [(f"{key.capitalize()}:", " ".join(value)) for key, value in properties.items()]
        for line in columns(rows):
            session.report.detail(line)


def link(session: Session, app: App, other: str) -> None:
    """Let an app open connections to another."""
    target = session.store.apps.get(other)
    session.platform.networks.link(app, target, actor=session.actor)
    session.report.step(f"{app.name} reaches {target.name} as {target.name}.internal")


def unlink(session: Session, app: App, other: str) -> None:
    """Take that back."""
    target = session.store.apps.get(other)
    session.platform.networks.unlink(app, target, actor=session.actor)
    session.report.step(f"{app.name} does not reach {target.name} by a link any more")


def _report(session: Session, app: App, visible: Set[str]) -> dict[str, list[str]]:
    networks = session.platform.networks
    return {
        "networks": list(networks.of(app)),
        "links": [name for name in networks.linked(app) if name in visible],
        "aliases": list(networks.aliases(app)),
    }


def _seen(session: Session) -> list[Membership]:
    """The networks that the caller may know of, with the apps that the caller may see."""
    visible = {each.name for each in session.apps()}
    everything = session.permissions.may(Access.ADMIN)
    found = []
    for each in session.platform.networks.list() if visible or everything else ():
        apps = each.apps if everything else tuple(name for name in each.apps if name in visible)
        if apps or everything:
            found.append(Membership(each.name, each.created_at, apps))
    return found


def _visible(session: Session, network: str) -> Membership:
    for each in _seen(session):
        if each.name == network:
            return each
    raise NetworkNotFound(network)


def _network() -> click.Argument:
    return one_word("network", "NETWORK")


COMMANDS = (
    Command("network:create", "Make a network", Access.ADMIN, create, arguments=(_network(),)),
    Command(
        "network:destroy",
        "Remove a network that no app is in",
        Access.ADMIN,
        destroy,
        arguments=(_network(),),
    ),
    Command(
        "network:exists",
        "Check if a network exists",
        Access.VIEW,
        exists,
        arguments=(_network(),),
    ),
    Command(
        "network:list", "List the networks", Access.VIEW, list_networks, options=(format_option(),)
    ),
    Command(
        "network:info",
        "Show which apps are in a network",
        Access.VIEW,
        info,
        arguments=(_network(),),
        options=(format_option(),),
    ),
    Command(
        "network:set",
        "Have an app in these networks and no others",
        Access.ADMIN,
        set_property,
        Names.AN_APP,
        arguments=(one_word("prop", "PROPERTY"), words("values", "NETWORK", required=False)),
        options=(
            click.Option(
                ["--alias"], multiple=True, metavar="NAME", help="A further name of the app there."
            ),
        ),
        description="PROPERTY is attach-post-deploy, attach-post-create or initial-network, as "
        "in Dokku: all mean the same, and take effect at once, for what runs too. Apps in one "
        "network reach each other as APP.internal and APP.web.internal (any port leads to "
        "$PORT), APP.TYPE.internal, and one instance as APP.web.1.internal; all other "
        "connections between apps are refused.",
    ),
    Command(
        "network:report",
        "Show the networks, links and aliases of an app, or of all",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
    Command(
        "network:link",
        "Let an app open connections to another",
        Access.ADMIN,
        link,
        Names.AN_APP,
        arguments=(one_word("other", "OTHER-APP"),),
        description="One way, and to that app alone; a network is for both ways.",
    ),
    Command(
        "network:unlink",
        "Let it no longer",
        Access.ADMIN,
        unlink,
        Names.AN_APP,
        arguments=(one_word("other", "OTHER-APP"),),
    ),
)
