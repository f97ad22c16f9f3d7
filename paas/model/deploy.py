"""One attempt to make a release live, and the stages it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """The stages before LIVE in their order; LIVE is the commit point.

    FAILED said why, SUPERSEDED gave way to a newer push, ABANDONED lost its process
    (kill -9, power) and was cleaned up by the next start.
    """

    RECEIVED = "received"
    BUILDING = "building"
    RELEASING = "releasing"
    STARTING = "starting"
    CHECKING = "checking"
    LIVE = "live"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    ABANDONED = "abandoned"

    @property
    def finished(self) -> bool:
        return self in FINISHED

    @property
    def committed(self) -> bool:
        """The release is live: what is missing is rolled forward, never back."""
        return self is Stage.LIVE

    @property
    def can_supersede(self) -> bool:
        """A newer push may take its place: nothing of it exists yet."""
        return self is Stage.RECEIVED

    def can_advance(self, to: Stage) -> bool:
        """Forward only; stages may be skipped (a rollback builds nothing)."""
        if self.finished:
            return False
        return to.finished or ORDER.index(to) > ORDER.index(self)


ORDER = (
    Stage.RECEIVED,
    Stage.BUILDING,
    Stage.RELEASING,
    Stage.STARTING,
    Stage.CHECKING,
    Stage.LIVE,
)
FINISHED = frozenset({Stage.LIVE, Stage.FAILED, Stage.SUPERSEDED, Stage.ABANDONED})


@dataclass(frozen=True)
class Deploy:
    """A row of the deploys table. `ended_at` is None while it goes on."""

    id: int
    app_id: int
    stage: Stage
    commit: str | None
    actor: str
    release: int | None
    error: str
    started_at: float
    ended_at: float | None
