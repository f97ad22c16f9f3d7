"""link, unlink, promote, links, linked, app-links."""

from __future__ import annotations

from collections.abc import Iterator

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, no_restart_option
from paas.cli.service_commands import ServiceCommands
from paas.cli.session import Session
from paas.deploy.services_link import LinkWish
from paas.model.app import App


class Linking:
    """The commands of one datastore's links, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def link(
        self,
        session: Session,
        app: App,
        service: str,
        alias: str | None,
        querystring: str | None,
        scheme: str | None,
        database: str | None,
        *,
        no_restart: bool,
    ) -> None:
        """Give an app the URL of a service."""
        found = self._of.find(session, service)
        wish = LinkWish(alias or "", querystring or "", scheme or "", database or "")
        self._say(session, app, no_restart=no_restart)
        variable = session.platform.service_links.link(
            found, app, wish, actor=session.actor, report=session.report, restart=not no_restart
        )
        session.report.result(f"{service} is linked to {app.name} as {variable}")

    def unlink(self, session: Session, app: App, service: str, *, no_restart: bool) -> None:
        """Take the URL of a service from an app."""
        found = self._of.find(session, service)
        self._say(session, app, no_restart=no_restart)
        names = session.platform.service_links.unlink(
            found, app, actor=session.actor, report=session.report, restart=not no_restart
        )
        session.report.result(f"{service} is no longer linked to {app.name}")
        for name in names:
            session.report.detail(f"Unset {name}")

    def promote(self, session: Session, app: App, service: str, *, no_restart: bool) -> None:
        """Make a linked service the one that an app finds first."""
        found = self._of.find(session, service)
        self._say(session, app, no_restart=no_restart)
        variable = session.platform.service_links.promote(
            found, app, actor=session.actor, report=session.report, restart=not no_restart
        )
        session.report.result(f"{service} is {variable} of {app.name}")

    def _say(self, session: Session, app: App, *, no_restart: bool) -> None:
        if not no_restart and app.can_run:
            session.report.step(f"Restarting app {app.name}")

    def links(self, session: Session, service: str, form: str) -> None:
        """Print the apps that a service is linked to."""
        apps = session.platform.service_links.apps_of(self._of.find(session, service))
        session.output.names([app.name for app in apps], form)

    def linked(self, session: Session, app: App, service: str) -> int:
        """End with 0 when they are linked, with 1 when they are not."""
        apps = session.platform.service_links.apps_of(self._of.find(session, service))
        return 0 if app.id in {one.id for one in apps} else 1

    def app_links(self, session: Session, app: App, form: str) -> None:
        """Print the services that an app is linked to."""
        linked = {link.service_id for link in session.store.links.of_app(app.id)}
        services = session.store.services.list(self._of.noun)
        session.output.names([one.name for one in services if one.id in linked], form)


def links(of: ServiceCommands) -> Iterator[Command]:
    """The commands of one datastore's links."""
    do = Linking(of)
    title, rule = of.manifest.title, of.manifest.link
    yield of.command(
        "link",
        f"Link a {title} service to an app",
        # Whoever may deploy one app does not thereby get at what others keep.
        Access.ADMIN,
        do.link,
        app=True,
        options=(
            click.Option(["-a", "--alias"], metavar="NAME", help="Set NAME_URL instead."),
            click.Option(["-q", "--querystring"], metavar="QUERY", help="Appended after a ?."),
            click.Option(["--scheme"], metavar="SCHEME", help=f"Instead of {rule.scheme}."),
            click.Option(["--database"], metavar="NAME", help="Another database of it."),
            no_restart_option(),
        ),
        description=f"Sets {rule.variable}; when that is taken, {rule.prefix}_<SERVICE>_URL.",
    )
    yield of.command(
        "unlink",
        f"Unlink a {title} service from an app",
        Access.DEPLOY,
        do.unlink,
        app=True,
        options=(no_restart_option(),),
    )
    yield of.command(
        "promote",
        f"Make a linked {title} service {rule.variable} of an app",
        Access.DEPLOY,
        do.promote,
        app=True,
        options=(no_restart_option(),),
    )
    yield of.command(
        "links",
        f"List apps linked to a {title} service",
        Access.DEPLOY,
        do.links,
        options=(format_option(),),
    )
    yield of.command(
        "linked", f"Check if a {title} service is linked", Access.VIEW, do.linked, app=True
    )
    yield Command(
        f"{of.noun}:app-links",
        f"List {title} services linked to an app",
        Access.VIEW,
        do.app_links,
        Names.AN_APP,
        options=(format_option(),),
    )
