"""What the caller of a build decided, for its steps to keep to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.engine.build.errors import BuildError
from paas.model.limits import Limits


class BuildTimedOut(BuildError):
    """A build took longer than it may."""

    def __init__(self, seconds: float, where: str = "") -> None:
        place = f"{where}: " if where else ""
        super().__init__(
            f"{place}the build was ended at its limit of {seconds:g} s",
            resolution="Make it do less, or give builds more time.",
        )


@dataclass(frozen=True)
class Rules:
    """`owner` names the user id range of RUN steps, `deadline_s` is for the whole build."""

    owner: str
    limits: Limits
    use_cache: bool
    deadline_s: float
    seconds_left: Callable[[], float]
    """Raises `BuildTimedOut` when there are none."""
