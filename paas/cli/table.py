"""The one table of commands, in the order of the help."""

from __future__ import annotations

from collections.abc import Iterable

from paas.cli import (
    app_reports,
    apps,
    builder,
    buildpacks,
    builds,
    certs,
    checks,
    complete,
    config,
    containers,
    cron,
    disk,
    domains,
    drains,
    enter,
    events,
    git,
    images,
    keys,
    letsencrypt,
    logs,
    members,
    network,
    notify,
    plugins,
    ports,
    proxy,
    ps,
    reach,
    rebuild,
    redirects,
    registry,
    releases,
    resource,
    run,
    services,
    stack,
    storage,
)
from paas.cli import help as explain
from paas.cli.command import Command, Table
from paas.host.content import content
from paas.plugin.catalog import Catalog


def commands(server: Iterable[Command]) -> Table:
    """Every command there is; those of the server are made by `paas.cli.server`."""
    return Table(
        (
            *apps.COMMANDS,
            *app_reports.COMMANDS,
            *config.COMMANDS,
            *builder.COMMANDS,
            *builds.COMMANDS,
            *buildpacks.COMMANDS,
            *stack.COMMANDS,
            *ps.COMMANDS,
            *rebuild.COMMANDS,
            *checks.COMMANDS,
            *resource.COMMANDS,
            *logs.COMMANDS,
            *drains.COMMANDS,
            *notify.COMMANDS,
            *events.COMMANDS,
            *run.COMMANDS,
            *enter.COMMANDS,
            *reach.COMMANDS,
            *cron.COMMANDS,
            *releases.COMMANDS,
            *domains.COMMANDS,
            *redirects.COMMANDS,
            *ports.COMMANDS,
            *network.COMMANDS,
            *storage.COMMANDS,
            *proxy.COMMANDS,
            *certs.COMMANDS,
            *letsencrypt.COMMANDS,
            *keys.COMMANDS,
            *members.COMMANDS,
            *containers.COMMANDS,
            *images.COMMANDS,
            *registry.COMMANDS,
            *disk.COMMANDS,
            *plugins.COMMANDS,
            *services.commands(Catalog(content("plugins"))),
            *server,
            *git.COMMANDS,
            *explain.COMMANDS,
            *complete.COMMANDS,
        )
    )
