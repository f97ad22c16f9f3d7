"""What the commands of every datastore share: its name, its words, and finding a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word
from paas.cli.output import columns
from paas.cli.session import Session
from paas.model.service import Service
from paas.plugin.manifest import ServiceManifest


@dataclass(frozen=True)
class ServiceCommands:
    """One datastore, as the commands named after it see it."""

    manifest: ServiceManifest

    @property
    def noun(self) -> str:
        """`postgres` of `postgres:create`."""
        return self.manifest.name

    def find(self, session: Session, name: str) -> Service:
        """The service of that name. Raises `ServiceNotFound`."""
        return session.store.services.get(self.noun, name)

    def command(  # noqa: PLR0913 - the fields of a Command
        self,
        verb: str,
        summary: str,
        access: Access,
        run: Callable[..., int | None],
        *,
        app: bool = False,
        arguments: Iterable[click.Argument] = (),
        options: Iterable[click.Option] = (),
        passes_through: bool = False,
        description: str = "",
    ) -> Command:
        """`NOUN:VERB SERVICE …`; with `app` the app is its last word."""
        return Command(
            f"{self.noun}:{verb}",
            summary.replace("{}", self.noun),
            access,
            run,
            Names.AN_APP_LAST if app else Names.NO_APP,
            arguments=(one_word("service", "<service>"), *arguments),
            options=tuple(options),
            passes_through=passes_through,
            description=description,
        )


def show(session: Session, heading: str, facts: Iterable[tuple[str, str]]) -> None:
    """A heading and one aligned line for each fact."""
    session.report.result(heading)
    for line in columns([(f"       {label}:", value) for label, value in facts]):
        session.output.line(line)
