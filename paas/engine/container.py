"""Values about containers, and the states they go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.errors import NotFound
from paas.host.identity import Identity

BY_HAND = "paas.by-hand"
"""The label of what somebody made to stay until he removes it, whoever watches over others."""


class ContainerNotFound(NotFound):
    """No container here has that id."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"There is no container {container_id}")


class State(Enum):
    """CREATING → CREATED → RUNNING ⇄ PAUSED, → EXITED; LOST when nobody saw how it ended,
    or it did not come to run again."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    LOST = "lost"

    @property
    def can_start(self) -> bool:
        """Also again, after its end."""
        return self in (State.CREATED, State.EXITED, State.LOST)

    @property
    def can_stop(self) -> bool:
        """Has a process that takes signals."""
        return self in (State.CREATED, State.RUNNING, State.PAUSED)

    @property
    def can_join(self) -> bool:
        """Another process may be started in it."""
        return self is State.RUNNING

    @property
    def can_pause(self) -> bool:
        return self is State.RUNNING

    @property
    def can_unpause(self) -> bool:
        return self is State.PAUSED

    @property
    def has_ended(self) -> bool:
        return self in (State.EXITED, State.LOST)


@dataclass(frozen=True)
class Container:
    """One container of this engine. `pid` is its init's, as the host counts."""

    id: str
    image: str
    owner: str
    labels: Mapping[str, str]
    hostname: str
    created_at: float
    log: Path | None
    keeper: Identity
    """The process that made it."""
    pid: int = 0
    address: IPv4Address | None = None
    restarts: bool = False
    """Whether a restart policy keeps it."""
    stop_timeout: float = 0.0
    """Seconds between its stop signal and SIGKILL."""


@dataclass(frozen=True)
class Status:
    """What is known about a container now.

    `exit_code` is 128 and the signal's number after one, as in a shell; None while it
    runs and when its monitor was killed (LOST). Times are epoch seconds.
    """

    state: State
    exit_code: int | None = None
    oom_killed: bool = False
    pid: int = 0
    started_at: float | None = None


@dataclass(frozen=True)
class ExitStatus:
    """How a container ended; `forced` when it took SIGKILL."""

    exit_code: int | None
    oom_killed: bool = False
    forced: bool = False


@dataclass(frozen=True)
class Record:
    """What is decided about a container before it exists; never changes."""

    id: str
    image: str
    owner: str
    base: int
    """The first host id of its user id range."""
    labels: Mapping[str, str]
    hostname: str
    network: str
    log: str | None
    stop_signal: str
    stop_timeout: float
    created_at: float
    keeper: Identity
    """Who made it. Until a monitor watches it, it must not outlive that process."""
    restart: str = "no"
    """A `RestartPolicy` in words."""
    healthcheck: Mapping[str, Any] | None = None
    """As in the configuration of an image."""
    publish: Sequence[str] = ()
    """Ports of the host, in the words of `docker run -p`."""
    terminal: bool = False
    stdin: bool = False


@dataclass(frozen=True)
class Restarts:
    """How often a container was started again: in all, and in a row without a good run.

    `keeper` is who started it again last, None when that failed.
    """

    count: int = 0
    failures: int = 0
    keeper: Identity | None = None


@dataclass(frozen=True)
class Live:
    """What is known once the runtime has created it."""

    init: Identity
    monitor: Identity | None
    address: str | None = None
    started_at: float | None = None
