"""An installed plugin, as it is kept."""

from __future__ import annotations

from dataclasses import dataclass

BUNDLED = "bundled"
"""The source of one that comes with the program."""


@dataclass(frozen=True)
class InstalledPlugin:
    """One row. `latest` is the version that was fetched last, `active` the one that is used.

    Both are commit ids, or digests of a folder; `active` is empty while it is disabled.
    `granted` are the lines that whoever enabled it saw. `seen` is the last event that it was
    told of, `error` how its last run failed, at `error_at` (seconds since the epoch).
    """

    name: str
    source: str
    ref: str
    latest: str
    active: str
    granted: tuple[str, ...]
    image: str
    seen: int
    error: str
    error_at: float
    installed_at: float
    actor: str

    @property
    def enabled(self) -> bool:
        return bool(self.active)

    @property
    def waits(self) -> bool:
        """Whether an update was fetched that nobody allowed yet."""
        return self.enabled and self.active != self.latest
