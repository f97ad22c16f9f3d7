"""What the caller of a build decided, for its steps to keep to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from paas.engine.build.errors import BuildError
from paas.host.files import FileLock
from paas.host.waiting import wait_until
from paas.model.env import Secret
from paas.model.limits import Limits

SHARED_SCOPE = "build"
"""Whose cache mounts a build uses that is nobody's in particular."""

LOOK_SECONDS = 0.05
"""Between two looks whether what somebody else has is free: builds hold it for seconds."""


class BuildTimedOut(BuildError):
    """A build took longer than it may."""

    def __init__(self, seconds: float, where: str = "") -> None:
        place = f"{where}: " if where else ""
        super().__init__(
            f"{place}the build was ended at its limit of {seconds:g} s",
            resolution="Make it do less, or give builds more time.",
        )


@dataclass(frozen=True)
class Offer:
    """What RUN steps may mount besides files of images and of the context.

    `secrets` and `agents` (sockets of ssh-agent(1)) are by their ids; `scope` says whose
    cache mounts they are.
    """

    secrets: Mapping[str, Secret] = field(default_factory=dict)
    agents: Mapping[str, Path] = field(default_factory=dict)
    scope: str = SHARED_SCOPE


@dataclass(frozen=True)
class Rules:
    """`owner` names the user id range of RUN steps, `deadline_s` is for the whole build."""

    owner: str
    limits: Limits
    use_cache: bool
    deadline_s: float
    seconds_left: Callable[[], float]
    """Raises `BuildTimedOut` when there are none."""
    offer: Offer = field(default_factory=Offer)
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered around what takes long without this process doing anything: other stages
    of the build go on meanwhile."""

    def take(self, lock: FileLock) -> None:
        """Take what another step or build may have. Raises `BuildTimedOut`."""
        if not lock.try_acquire():
            with self.waiting():
                while not wait_until(lock.try_acquire, self.seconds_left(), LOOK_SECONDS):
                    continue
