"""Learning at once that an instance has ended, and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from paas.engine.container import ContainerNotFound, Status
from paas.engine.containers import Containers
from paas.model.instance import Instance


class InstanceWatch:
    """Holds one pidfd for the monitor of every live instance."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._exits: dict[str, int] = {}

    @property
    def descriptors(self) -> Iterable[int]:
        """Readable when an instance has ended."""
        return self._exits.values()

    def look(self, instances: Sequence[Instance]) -> list[Instance]:
        """Watch what is live by now; those whose container is gone."""
        live = {one.container: one for one in instances if one.state.can_serve}
        for container in self._exits.keys() - live.keys():
            os.close(self._exits.pop(container))
        gone = []
        for container in live.keys() - self._exits.keys():
            try:
                self._exits[container] = self._containers.watch(container)
            except ContainerNotFound:
                gone.append(live[container])
        return gone

    def ended(self, ready: Iterable[int]) -> list[str]:
        """The containers that ended. One that stays live is watched again, and told again."""
        over = set(ready)
        found = [container for container, pidfd in self._exits.items() if pidfd in over]
        for container in found:
            os.close(self._exits.pop(container))
        return found


def reason(status: Status | None) -> str:
    """Why a container ended."""
    if status is None:
        return "its container is gone"
    if status.oom_killed:
        return "out of memory"
    if status.exit_code is None:
        return "its monitor was killed"
    return f"exit code {status.exit_code}"
