"""clone, upgrade, prune, rotate."""

from __future__ import annotations

from collections.abc import Iterator

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import one_word
from paas.cli.service_commands import ServiceCommands
from paas.cli.session import Session
from paas.cli.size import size


class Copying:
    """The commands that move one datastore's data, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def clone(self, session: Session, service: str, new: str) -> None:
        """Make a service with what another holds now."""
        found = self._of.find(session, service)
        session.report.step(f"Cloning {service} to {new}")
        session.platform.service_copies.clone(
            found, new, actor=session.actor, report=session.report
        )
        session.report.result(f"{self._of.manifest.title} container created: {new}")

    def upgrade(
        self, session: Session, service: str, version: str | None, image: str | None
    ) -> None:
        """Move a service to another version."""
        found = self._of.find(session, service)
        session.platform.service_copies.upgrade(
            found, version or "", image or "", actor=session.actor, report=session.report
        )
        now = self._of.find(session, service)
        session.report.result(f"{service} runs {self._of.manifest.title} {now.version}")

    def prune(self, session: Session, service: str, volume: str | None) -> None:
        """Remove what a service held before, after its name was typed."""
        found = self._of.find(session, service)
        kept = session.platform.service_copies.kept
        if not kept.of(found) and volume is None:
            session.report.result(f"{service} keeps no old data")
            return
        session.confirm(
            service,
            f"This command will remove what the {self._of.noun} service {service} held before"
            f" an upgrade or a restore{f', in {volume}' if volume else ''}.",
        )
        removed = kept.remove(found, volume, actor=session.actor)
        for one in removed:
            session.report.detail(f"{one.volume} is removed")
        session.report.result(f"{size(sum(one.bytes for one in removed))} freed")

    def rotate(self, session: Session, service: str) -> None:
        """Change the password, and tell every linked app."""
        found = self._of.find(session, service)
        session.report.step(f"Changing the password of {service}")
        at_work = session.platform.service_copies.rotation.rotate(
            found, actor=session.actor, report=session.report
        )
        for one in at_work:
            session.report.detail(f"The old password stays valid until this has ended: {one}")
        if at_work:
            session.report.result(f"{service} has a new password")
        else:
            session.report.result(f"The old password of {service} is no longer valid")


def copies(of: ServiceCommands) -> Iterator[Command]:
    """The commands that move one datastore's data."""
    do = Copying(of)
    title = of.manifest.title
    yield of.command(
        "clone",
        f"Make a {title} service with the content of another",
        Access.DEPLOY,
        do.clone,
        arguments=(one_word("new", "<new-service>"),),
    )
    yield of.command(
        "upgrade",
        f"Move a {title} service to another version",
        Access.DEPLOY,
        do.upgrade,
        options=(
            click.Option(
                ["-I", "--image-version", "--version", "version"],
                metavar="VERSION",
                help=f"One of {', '.join(of.manifest.versions)}; today's of its own unless given.",
            ),
            click.Option(["-i", "--image"], metavar="IMAGE", help="Another image, by its name."),
        ),
        description=(
            "Another major version gets a new volume and the data by a dump, checked before it"
            " serves; the old volume is kept. Meanwhile the service takes no connections."
        ),
    )
    yield of.command(
        "prune",
        f"Remove the old data that a {title} service keeps",
        Access.OWN,
        do.prune,
        arguments=(one_word("volume", "VOLUME", required=False),),
        description=(
            "An upgrade to another major version, a restore and an import keep what was there"
            f" before: {of.noun}:info lists it. All of it goes unless VOLUME is named. Asks for the"
            " name of the service on a terminal; --force does not ask."
        ),
    )
    if "grant" in of.manifest.commands:
        yield of.command(
            "rotate",
            f"Change the password of a {title} service, and tell its apps",
            Access.DEPLOY,
            do.rotate,
        )
