"""One running container of a process type, and the states it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class InstanceState(Enum):
    """STARTING → LIVE → RETIRING → (row removed); LIVE ⇄ CRASHED; LIVE → EXITED.

    EXITED ended by itself, and its restart policy leaves it at that.
    """

    STARTING = "starting"
    LIVE = "live"
    CRASHED = "crashed"
    EXITED = "exited"
    RETIRING = "retiring"

    @property
    def can_serve(self) -> bool:
        """May be a backend of its process type's address."""
        return self is InstanceState.LIVE

    @property
    def can_restart(self) -> bool:
        """Should be running; the supervisor starts it again when it is not."""
        return self in (InstanceState.LIVE, InstanceState.CRASHED)

    @property
    def is_settled(self) -> bool:
        """Its place needs no other instance."""
        return self in (InstanceState.LIVE, InstanceState.EXITED)

    @property
    def can_retire(self) -> bool:
        return self is not InstanceState.RETIRING

    @property
    def shown(self) -> str:
        """The word for people, as in Heroku's `ps`."""
        return "up" if self is InstanceState.LIVE else self.value

    @property
    def is_leftover(self) -> bool:
        """Belongs to a deploy before its commit, or is on its way out."""
        return self in (InstanceState.STARTING, InstanceState.RETIRING)


@dataclass(frozen=True)
class Instance:
    """A row of the instances table.

    `index` counts from 1: `web.1`. `restarts` is how often the supervisor filled this
    place again since its release went live.
    """

    id: int
    app_id: int
    release: int
    process_type: str
    index: int
    container: str
    address: str
    port: int
    state: InstanceState
    deploy: int | None
    created_at: float
    restarts: int = 0
    ready: bool = True
    """Whether its readiness checks hold: only then it is sent requests."""

    @property
    def can_take_requests(self) -> bool:
        """May be a backend now."""
        return self.state.can_serve and self.ready

    @property
    def shown(self) -> str:
        """Its state for people."""
        return "not ready" if self.state.can_serve and not self.ready else self.state.shown

    @property
    def name(self) -> str:
        """`web.1`, as in logs and the DYNO variable."""
        return f"{self.process_type}.{self.index}"
