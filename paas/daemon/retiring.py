"""When an old instance is looked after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from paas.host.clock import Clock
from paas.model.instance import Instance, InstanceState

RETIRE_AFTER_SECONDS = 0.6
"""What visitors ask of new instances that do everything for the first time, the last steps of a
deploy and the proxy's letting go of connections come first: on a busy server an old instance that
is looked after and removed beside them doubles what the slowest visitors wait."""


@dataclass
class Retiring:
    """Remembers since when each is to retire, from the first look that saw it on."""

    clock: Clock
    _since: dict[int, float] = field(default_factory=dict)

    def due(self, instances: Sequence[Instance]) -> tuple[list[Instance], list[float]]:
        """Of all that there are those whose time has come, and when that of others will."""
        now, due, later = self.clock.monotonic(), [], []
        retiring = [one for one in instances if one.state is InstanceState.RETIRING]
        self._since = {one.id: self._since.get(one.id, now) for one in retiring}
        for instance in retiring:
            at = self._since[instance.id] + RETIRE_AFTER_SECONDS
            if at > now:
                later.append(at)
            else:
                due.append(instance)
        return due, later
