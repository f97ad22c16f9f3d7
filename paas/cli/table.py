"""The one table of commands, in the order of the help."""

from __future__ import annotations

from paas.cli import apps, config, domains, git, keys, logs, ps, releases, run
from paas.cli import help as explain
from paas.cli.command import Table


def commands() -> Table:
    """Every command there is."""
    return Table(
        (
            *apps.COMMANDS,
            *config.COMMANDS,
            *ps.COMMANDS,
            *logs.COMMANDS,
            *run.COMMANDS,
            *releases.COMMANDS,
            *domains.COMMANDS,
            *keys.COMMANDS,
            *git.COMMANDS,
            *explain.COMMANDS,
        )
    )
