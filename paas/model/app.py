"""An app: a name, and which of its releases is live."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class App:
    """A row of the apps table.

    `id` is never used again and survives a rename: repositories, uid ranges and
    addresses are named by it. `live` is the number of the live release.
    """

    id: int
    name: str
    created_at: float
    live: int | None
    stopped: bool

    @property
    def deployed(self) -> bool:
        return self.live is not None

    @property
    def can_run(self) -> bool:
        """There is a release that instances can be made of."""
        return self.live is not None and not self.stopped
