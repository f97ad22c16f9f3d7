"""expose, unexpose, certificate."""

from __future__ import annotations

from collections.abc import Iterator

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.service_commands import ServiceCommands
from paas.cli.session import Session
from paas.deploy.services_expose import Wanted
from paas.model.exposure import Tls


class Exposing:
    """The commands of one datastore's exposures, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def expose(
        self, session: Session, service: str, port: int | None, allow: tuple[str, ...], *, tls: bool
    ) -> None:
        """Lead a port of the server to a service."""
        found = self._of.find(session, service)
        exposures = session.platform.service_exposures
        made = exposures.expose(
            found, Wanted(port or 0, allow, tls), actor=session.actor, report=session.report
        )
        session.report.result(f"{service} is exposed on {made}")
        session.output.line(f"       {exposures.url(found, made)}")
        if made.tls is not Tls.NOBODY:
            command = f"{self._of.noun}:certificate {service}"
            session.report.detail(f"To check its certificate by: paas {command} > {service}.pem")

    def unexpose(self, session: Session, service: str) -> None:
        """Lead no port of the server to a service any more."""
        found = self._of.find(session, service)
        session.platform.service_exposures.unexpose(
            found, actor=session.actor, report=session.report
        )
        session.report.result(f"{service} is reached by linked apps alone")

    def certificate(self, session: Session, service: str) -> None:
        """Print what clients from outside can check a service by."""
        found = self._of.find(session, service)
        chain = session.platform.service_exposures.certificate(found).chain
        session.output.data(chain.encode())


def exposures(of: ServiceCommands) -> Iterator[Command]:
    """The commands of one datastore's exposures."""
    do = Exposing(of)
    title = of.manifest.title
    yield of.command(
        "expose",
        f"Lead a port of the server to a {title} service",
        Access.ADMIN,
        do.expose,
        arguments=(
            click.Argument(
                ["port"], type=click.IntRange(1, 65535), required=False, metavar="[PORT]"
            ),
        ),
        options=(
            click.Option(
                ["--allow"],
                metavar="NETWORK",
                multiple=True,
                help="Who may come: an address or a network; everybody unless given.",
            ),
            click.Option(
                ["--tls/--no-tls"], default=True, help="Whether nothing but TLS is spoken there."
            ),
        ),
        description=f"Without PORT it is {of.manifest.port}, or the next that is free.",
    )
    yield of.command(
        "unexpose",
        f"Lead no port of the server to a {title} service",
        Access.ADMIN,
        do.unexpose,
    )
    yield of.command(
        "certificate",
        f"Print the certificate that an exposed {title} service shows",
        Access.DEPLOY,
        do.certificate,
    )
