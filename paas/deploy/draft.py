"""What a deploy makes live: a release before it has a number."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.model.cron import CronTask
from paas.model.env import Secret
from paas.model.health import Healthcheck
from paas.model.limits import Limits
from paas.model.release import Release

WEB = "web"
RELEASE = "release"
"""The process type that runs once before a release goes live (Heroku's release phase)."""

ANY = ""
DEFAULT_PORT = 5000


@dataclass(frozen=True)
class Draft:
    """Image, config and formation that are about to become a release.

    `processes` maps a type to its shell command, None where the image says what to run.
    `inherited` are the keys of the config that every app has. `limits` are by process
    type; those of `ANY` are for what has none of its own.
    `number` is set where an existing release is started again (restart, heal).
    """

    image: str
    commit: str | None
    config: Mapping[str, Secret]
    processes: Mapping[str, str | None]
    formation: Mapping[str, int]
    reason: str
    health: Mapping[str, tuple[Healthcheck, ...]] = field(default_factory=dict)
    number: int | None = None
    branch: str | None = field(default=None, compare=False)
    snippet: str = ""
    """What the repository adds to the app's site in the proxy."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    inherited: frozenset[str] = frozenset()
    cron: tuple[CronTask, ...] = ()

    @property
    def port(self) -> int:
        """Where `web` is expected to listen: the config's PORT, else 5000."""
        value = self.config.get("PORT")
        if value is not None and value.reveal().isdecimal():
            return int(value.reveal())
        return DEFAULT_PORT

    def limits_of(self, process_type: str) -> Limits:
        """What one container of a process type may use."""
        return self.limits.get(process_type) or self.limits.get(ANY) or Limits()

    @property
    def own_config(self) -> dict[str, Secret]:
        """The config without what every app has."""
        return {key: value for key, value in self.config.items() if key not in self.inherited}

    def same_instances(self, other: Draft, process_type: str) -> bool:
        """Whether an instance of `process_type` runs the same in both."""
        return (
            self.image == other.image
            and self.commit == other.commit
            and self.config == other.config
            and self.processes.get(process_type) == other.processes.get(process_type)
            and self.limits_of(process_type) == other.limits_of(process_type)
        )


def of(release: Release) -> Draft:
    """The draft that starts `release` again as it is."""
    return Draft(
        image=release.image,
        commit=release.commit,
        config=release.config,
        processes=release.processes,
        formation=release.formation,
        reason=release.reason,
        health=release.health,
        number=release.number,
        snippet=release.snippet,
        limits=release.limits,
        inherited=release.inherited,
        cron=release.cron,
    )


def formation_for(
    processes: Mapping[str, str | None], *wishes: Mapping[str, int]
) -> dict[str, int]:
    """How many instances of each scalable type: by the first wish, else one `web`."""
    wanted = ChainMap(*(dict(wish) for wish in wishes), {WEB: 1})
    return {kind: wanted.get(kind, 0) for kind in processes if kind != RELEASE}
