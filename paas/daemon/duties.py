"""The jobs of the supervisor, each a key: there is one at a time of each."""

from __future__ import annotations

from dataclasses import dataclass

from paas.deploy.fleet import Member


@dataclass(frozen=True)
class Heal:
    """The job of filling one place of an app's formation."""

    app_id: int
    release: int
    member: Member


@dataclass(frozen=True)
class HealService:
    """The job of starting the server of a service again."""

    service_id: int


@dataclass(frozen=True)
class Retire:
    """The job of draining and stopping one instance."""

    instance_id: int


@dataclass(frozen=True)
class Tidy:
    """The job of mending and freeing what killed processes left."""


@dataclass(frozen=True)
class BackUp:
    """The job of making the backup of one service that is due."""

    service_id: int


@dataclass(frozen=True)
class Renew:
    """The job of renewing the certificate of one app."""

    app_id: int


@dataclass(frozen=True)
class Probe:
    """The job of asking the instances of one release whether they are ready and alive."""

    app_id: int
    release: int


@dataclass(frozen=True)
class Clean:
    """The job of freeing what is no longer needed."""
