"""A release: everything needed to run an app as it was, immutable and numbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.model.cron import CronTask
from paas.model.env import Secret
from paas.model.health import Healthcheck
from paas.model.limits import Limits


@dataclass(frozen=True)
class Release:
    """Image, config, processes and formation of one version of an app.

    `processes` maps a process type to its shell command, None being the image's own
    entrypoint and command. `formation` is how many instances of each type run.
    `inherited` are the keys of the config that are not the app's own, but of every app.
    `commit` is the pushed revision (hex) the image was built from. `created_at` is in
    seconds since the epoch.
    """

    app_id: int
    number: int
    image: str
    commit: str | None
    config: Mapping[str, Secret]
    processes: Mapping[str, str | None]
    formation: Mapping[str, int]
    health: Mapping[str, tuple[Healthcheck, ...]]
    reason: str
    actor: str
    created_at: float
    limits: Mapping[str, Limits] = field(default_factory=dict)
    inherited: frozenset[str] = frozenset()
    snippet: str = ""
    """What the repository adds to the app's site in the proxy."""
    cron: tuple[CronTask, ...] = ()
    """What the repository wants run at set times."""

    @property
    def version(self) -> str:
        """`v7`, as users name it."""
        return f"v{self.number}"
