"""The commands of services: the same set for every datastore, made from its plugin.toml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.service_backups import backups
from paas.cli.service_commands import ServiceCommands
from paas.cli.service_copies import copies
from paas.cli.service_expose import exposures
from paas.cli.service_life import life
from paas.cli.service_links import links
from paas.cli.service_talk import talk
from paas.plugin.catalog import Broken, Catalog
from paas.plugin.manifest import InvalidManifest, ServiceManifest


def commands(catalog: Catalog) -> Iterator[Command]:
    """Those of every service plugin.

    A damaged one keeps a command that says what is wrong with it, and harms no other.
    """
    for plugin in catalog.all():
        if isinstance(plugin, Broken):
            yield _explaining(plugin)
        else:
            yield from commands_of(plugin.manifest)


def commands_of(manifest: ServiceManifest) -> Iterable[Command]:
    """Those of one datastore."""
    service = ServiceCommands(manifest)
    return (
        *(*life(service), *links(service), *exposures(service)),
        *(*talk(service), *copies(service), *backups(service)),
    )


def _explaining(plugin: Broken) -> Command:
    def explain(_session: object, **_: object) -> NoReturn:
        error = plugin.error
        raise InvalidManifest(error.brief, error.details, error.resolution)

    return Command(
        f"{plugin.name}:create", "Its plugin.toml cannot be used", Access.DEPLOY, explain
    )
